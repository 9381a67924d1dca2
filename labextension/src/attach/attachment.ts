/**
 * Which node a notebook is attached to: kept in its metadata, and told to its
 * kernel over a comm that the kernel opens when it loads the magics. No DOM.
 */

import { Kernel, KernelMessage } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';
import { INotebookContext } from '../notebook/notebook';

/** The name of the comm, and the key in the metadata. */
const NAME = 'easyremote';

/** As `easyremote_jupyter/places/attachment.py` has it. */
export interface IAttached {
  node: string;
  session: string;
  where: string;
  /** Whether cells without a magic run there, too. */
  auto: boolean;
}

/** What the kernel says. */
interface IWord {
  attached: IAttached | null;
  /** Its own session on a node. */
  session?: string;
}

/** What a notebook keeps; null where it is not to be attached to the default node. */
interface IMetadata {
  attached?: Partial<IAttached> | null;
}

export class Attachment implements IDisposable {
  constructor(context: INotebookContext, defaultNode: () => string) {
    this._context = context;
    this._defaultNode = defaultNode;
    context.sessionContext.kernelChanged.connect(this._onKernel);
    void context.sessionContext.ready.then(this._onKernel);
  }

  /** What the kernel says; before it has said anything, what the metadata says. */
  get attached(): IAttached | null {
    const attached = this._told === undefined ? this._kept : this._told;
    if (JSON.stringify(attached) !== JSON.stringify(this._attached)) {
      this._attached = attached;
    }
    return this._attached; // the same object for as long as it says the same
  }

  /** Whether the kernel has loaded the magics; null while there is none to ask. */
  get isLoaded(): boolean | null {
    return this._kernel === null ? null : this._comm !== null;
  }

  /** The kernel's own session on a node; null if the kernel has not said it. */
  get session(): string | null {
    return this._comm === null ? null : this._session;
  }

  /** `isLoaded`, as soon as the kernel is there and has said it. */
  async whenKnown(): Promise<boolean | null> {
    await this._context.sessionContext.ready;
    await this._asked;
    return this.isLoaded;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Attach the notebook, or detach it; a busy kernel learns of it when it is free. */
  attach(node: string | null, auto = false): void {
    const attached =
      node === null ? null : { node, session: '', where: '', auto };
    this._keep(attached);
    if (this._comm !== null) {
      this._told = attached;
      this._comm.send({ kind: 'attach', attached });
    }
    this._changed.emit();
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._context.sessionContext.kernelChanged.disconnect(this._onKernel);
    this._leave();
    Signal.clearData(this);
  }

  private get _kept(): IAttached | null {
    const kept = this._metadata?.attached;
    if (typeof kept?.node !== 'string') {
      return null;
    }
    const { node, session = '', where = '', auto = false } = kept;
    return { node, session, where, auto };
  }

  private _keep(attached: IAttached | null): void {
    const { model } = this._context;
    if (attached !== null) {
      model.setMetadata(NAME, { attached });
    } else if (this._defaultNode() !== '' && this._metadata !== undefined) {
      model.setMetadata(NAME, { attached }); // or the default would come back
    } else if (this._metadata !== undefined) {
      model.deleteMetadata(NAME);
    }
  }

  private get _metadata(): IMetadata | undefined {
    return this._context.model.getMetadata(NAME) as IMetadata | undefined;
  }

  private readonly _onKernel = () => {
    const kernel = this._context.sessionContext.session?.kernel ?? null;
    if (kernel === this._kernel || this._isDisposed) {
      return;
    }
    this._leave();
    this._kernel = kernel;
    if (kernel !== null) {
      kernel.registerCommTarget(NAME, this._onOpen);
      kernel.statusChanged.connect(this._onStatus);
      // The kernel may go away before it answers.
      this._asked = this._find(kernel).catch(() => undefined);
    }
    this._changed.emit();
  };

  /** The kernel has just loaded the magics: tell it what the metadata says. */
  private readonly _onOpen = (
    comm: Kernel.IComm,
    message: KernelMessage.ICommOpenMsg
  ) => {
    this._follow(comm);
    const { attached, session } = message.content.data as unknown as IWord;
    this._session = session ?? null;
    const node = this._defaultNode();
    if (node !== '' && this._metadata === undefined && attached === null) {
      this.attach(node);
      return;
    }
    const kept = this._kept;
    this._told = kept;
    if (JSON.stringify(kept) !== JSON.stringify(attached)) {
      comm.send({ kind: 'attach', attached: kept && { ...kept } });
    }
    this._changed.emit();
  };

  /** The kernel may have loaded them before this page came. */
  private async _find(kernel: Kernel.IKernelConnection): Promise<void> {
    const { content } = await kernel.requestCommInfo({ target_name: NAME });
    const id = content.status === 'ok' ? Object.keys(content.comms)[0] : '';
    if (id && kernel === this._kernel && this._comm === null) {
      const comm = kernel.createComm(NAME, id);
      this._follow(comm);
      comm.send({ kind: 'ask' });
      this._changed.emit();
    }
  }

  private _follow(comm: Kernel.IComm): void {
    this._comm = comm;
    comm.onMsg = message => {
      if (comm !== this._comm) {
        return; // the message is from a kernel that this notebook no longer has
      }
      const { attached, session } = message.content.data as unknown as IWord;
      this._told = attached;
      this._session = session ?? null;
      this._keep(attached);
      this._changed.emit();
    };
    comm.onClose = () => {
      if (comm === this._comm) {
        this._lose();
      }
    };
  }

  private readonly _onStatus = (_: unknown, status: Kernel.Status) => {
    if (/restarting|dead|terminating/.test(status)) {
      this._lose();
    }
  };

  /** The kernel has lost the magics; the metadata stays. */
  private _lose(): void {
    if (this._comm !== null) {
      this._comm = null;
      this._told = undefined;
      this._changed.emit();
    }
  }

  private _leave(): void {
    const kernel = this._kernel;
    this._kernel = this._comm = null;
    this._told = undefined;
    if (kernel !== null && !kernel.isDisposed) {
      kernel.removeCommTarget(NAME, this._onOpen);
      kernel.statusChanged.disconnect(this._onStatus);
    }
  }

  private readonly _context: INotebookContext;
  private readonly _defaultNode: () => string;
  private readonly _changed = new Signal<this, void>(this);
  private _kernel: Kernel.IKernelConnection | null = null;
  private _asked: Promise<void> = Promise.resolve();
  private _comm: Kernel.IComm | null = null;
  /** Undefined until the kernel has said it. */
  private _told: IAttached | null | undefined;
  private _attached: IAttached | null = null;
  private _session: string | null = null;
  private _isDisposed = false;
}
