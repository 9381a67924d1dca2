import { Signal } from '@lumino/signaling';
import { describe, expect, it } from 'vitest';
import { INotebookContext } from '../notebook/notebook';
import { Attachment, IAttached } from './attachment';

const GPU_NODE: IAttached = {
  node: 'gpu-node',
  session: '',
  where: '',
  auto: false
};

/** A comm that remembers what was sent. */
class Comm {
  sent: object[] = [];
  onMsg: (message: object) => void = () => undefined;
  onClose: () => void = () => undefined;
  send(data: object): void {
    this.sent.push(data);
  }
  tell(attached: IAttached | null): void {
    this.onMsg({ content: { data: { attached } } });
  }
}

/** A kernel that may have a comm open already. */
class Kernel {
  statusChanged = new Signal<this, string>(this);
  isDisposed = false;
  made: Comm[] = [];
  constructor(private readonly _open: string[] = []) {}
  registerCommTarget(_: string, callback: typeof this._callback): void {
    this._callback = callback;
  }
  removeCommTarget(): void {
    this._callback = () => undefined;
  }
  requestCommInfo(): Promise<object> {
    const comms = Object.fromEntries(this._open.map(id => [id, {}]));
    return Promise.resolve({ content: { status: 'ok', comms } });
  }
  createComm(): Comm {
    this.made.push(new Comm());
    return this.made[this.made.length - 1];
  }
  load(attached: IAttached | null): Comm {
    const comm = new Comm();
    this._callback(comm, { content: { data: { attached } } });
    return comm;
  }
  private _callback: (comm: Comm, message: object) => void = () => undefined;
}

async function open(
  kernel: Kernel | null,
  kept?: object | null,
  defaultNode = ''
) {
  const metadata = new Map<string, unknown>();
  if (kept !== undefined) {
    metadata.set('easyremote', { attached: kept });
  }
  const sessionContext = {
    ready: Promise.resolve(),
    session: { kernel },
    kernelChanged: new Signal<object, void>({})
  };
  const model = {
    getMetadata: (key: string) => metadata.get(key),
    setMetadata: (key: string, value: unknown) => metadata.set(key, value),
    deleteMetadata: (key: string) => metadata.delete(key)
  };
  const context = { sessionContext, model } as unknown as INotebookContext;
  const attachment = new Attachment(context, () => defaultNode);
  await new Promise(resolve => setTimeout(resolve));
  return { attachment, metadata, sessionContext };
}

describe('what a notebook is attached to', () => {
  it('knows whether the magics are loaded once the kernel has said so', async () => {
    let answer: (content: object) => void = () => undefined;
    const kernel = new Kernel(['theirs']);
    kernel.requestCommInfo = () =>
      new Promise(resolve => {
        answer = resolve;
      });
    const { attachment } = await open(kernel);
    const known = attachment.whenKnown();
    expect(attachment.isLoaded).toBe(false); // as far as one can see
    answer({ content: { status: 'ok', comms: { theirs: {} } } });
    expect(await known).toBe(true);
  });

  it('knows it of a kernel that never answers, too', async () => {
    const kernel = new Kernel();
    kernel.requestCommInfo = () => Promise.reject(new Error('disposed'));
    const { attachment } = await open(kernel);
    expect(await attachment.whenKnown()).toBe(false);
  });

  it('is what its metadata say, until the kernel loads the magics', async () => {
    const kernel = new Kernel();
    const { attachment } = await open(kernel, { node: 'gpu-node' });
    expect(attachment.attached).toEqual(GPU_NODE);
    expect(attachment.isLoaded).toBe(false);
    const comm = kernel.load(null);
    expect(attachment.isLoaded).toBe(true);
    expect(comm.sent).toEqual([{ kind: 'attach', attached: GPU_NODE }]);
    expect(attachment.attached).toEqual(GPU_NODE);
  });

  it('is the kernel’s word, where a cell has attached it', async () => {
    const kernel = new Kernel();
    const { attachment, metadata } = await open(kernel, { node: 'other' });
    const comm = kernel.load({ ...GPU_NODE, node: 'other' });
    expect(comm.sent).toEqual([]);
    comm.tell(GPU_NODE);
    expect(metadata.get('easyremote')).toEqual({ attached: GPU_NODE });
    comm.tell(null);
    expect(attachment.attached).toBeNull();
    expect(metadata.has('easyremote')).toBe(false);
  });

  it('is here what it is, where the file is older', async () => {
    const kernel = new Kernel();
    const { attachment } = await open(kernel);
    const comm = kernel.load(GPU_NODE);
    expect(comm.sent).toEqual([{ kind: 'attach', attached: null }]);
    expect(attachment.attached).toBeNull();
  });

  it('is asked for where the magics were loaded before', async () => {
    const kernel = new Kernel(['a-comm']);
    const { attachment } = await open(kernel);
    expect(attachment.isLoaded).toBe(true);
    expect(kernel.made[0].sent).toEqual([{ kind: 'ask' }]);
    kernel.made[0].tell(GPU_NODE);
    expect(attachment.attached).toEqual(GPU_NODE);
  });

  it('is chosen here, kept, and told', async () => {
    const kernel = new Kernel();
    const { attachment, metadata } = await open(kernel);
    const comm = kernel.load(null);
    attachment.attach('gpu-node', true);
    const attached = { ...GPU_NODE, auto: true };
    expect(comm.sent).toEqual([{ kind: 'attach', attached }]);
    expect(metadata.get('easyremote')).toEqual({ attached });
    attachment.attach(null);
    expect(comm.sent[1]).toEqual({ kind: 'attach', attached: null });
    expect(metadata.size).toBe(0);
  });

  it('is the default node where the notebook has never said otherwise', async () => {
    const kernel = new Kernel();
    const { attachment, metadata } = await open(kernel, undefined, 'gpu-node');
    expect(attachment.attached).toBeNull(); // nothing is written into what is only read
    expect(metadata.size).toBe(0);
    const comm = kernel.load(null);
    expect(comm.sent).toEqual([{ kind: 'attach', attached: GPU_NODE }]);
    expect(attachment.attached).toEqual(GPU_NODE);
    attachment.attach(null);
    expect(metadata.get('easyremote')).toEqual({ attached: null });
    kernel.statusChanged.emit('restarting');
    expect(kernel.load(null).sent).toEqual([]);
    expect(attachment.attached).toBeNull();
  });

  it('is not the default node where it is another one', async () => {
    const kernel = new Kernel();
    await open(kernel, { node: 'other' }, 'gpu-node');
    const [told] = kernel.load(null).sent as { attached: IAttached }[];
    expect(told.attached.node).toBe('other');
  });

  it('stays with the notebook when its kernel restarts', async () => {
    const kernel = new Kernel();
    const { attachment } = await open(kernel, { node: 'gpu-node' });
    kernel.load(null);
    kernel.statusChanged.emit('restarting');
    expect(attachment.isLoaded).toBe(false);
    expect(attachment.attached).toEqual(GPU_NODE);
    expect(kernel.load(null).sent).toHaveLength(1);
  });

  it('follows another kernel, and the old one no more', async () => {
    const old = new Kernel();
    const { attachment, sessionContext } = await open(old, {
      node: 'gpu-node'
    });
    const comm = old.load(null);
    sessionContext.session.kernel = new Kernel();
    sessionContext.kernelChanged.emit();
    expect(attachment.isLoaded).toBe(false);
    comm.tell(null);
    expect(attachment.attached).toEqual(GPU_NODE);
  });

  it('is nothing where the metadata are not ours', async () => {
    const { attachment } = await open(null, { node: 7 });
    expect(attachment.attached).toBeNull();
    expect(attachment.isLoaded).toBeNull();
    attachment.dispose();
    attachment.dispose();
    expect(attachment.isDisposed).toBe(true);
  });
});
