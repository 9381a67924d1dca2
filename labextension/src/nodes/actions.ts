/** What can be done with a node, from wherever it is shown. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';
import { ISignal, Signal } from '@lumino/signaling';
import { Attachment } from '../attach/attachment';
import { IAttachments } from '../attach/attachments';
import { tellWhereNotLoaded } from '../attach/notLoaded';
import { codeCell, LOADER, remoteCell } from '../notebook/cell';
import { CommandIDs } from '../core/commands';
import { activeCell, moveCells } from '../notebook/move';
import {
  CELL_MIME,
  filled,
  hasLoader,
  ICell,
  INotebookPanel,
  insertRemoteCell,
  notebookPanel
} from '../notebook/notebook';
import { GLANCE_MS, READ_MS } from '../ui/notices';

export interface INodeActions {
  /** The node that the current notebook is attached to. */
  readonly attached: string | null;
  /** The session that the current notebook has on a node; null where that is not known. */
  sessionOn(nodeId: string): string | null;
  readonly attachedChanged: ISignal<INodeActions, void>;
  /** Attach the current notebook to the node, or detach it from that node. */
  toggleAttached(nodeId: string): void;
  /** Put a cell that runs on the node below the active one, or into a new notebook. */
  insert(nodeId: string): void;
  /** Make cells run on the node: those that were dropped on it, or the active one. */
  move(nodeId: string, cells?: readonly ICell[]): void;
  /** Whether there is a place for the pages of nodes. */
  readonly canOpen: boolean;
  /** Show the page of the node. */
  open(nodeId: string): void;
  /** Copy the name of the node. */
  copy(nodeId: string): void;
  /** The drag of a node begins: as a cell into a notebook, as its name elsewhere. */
  drag(nodeId: string, event: DragEvent): void;
}

export class NodeActions implements INodeActions {
  constructor(
    app: JupyterFrontEnd,
    attachments: IAttachments,
    trans: TranslationBundle
  ) {
    this._app = app;
    this._attachments = attachments;
    this._trans = trans;
    app.shell.currentChanged?.connect(this._onCurrent);
    this._onCurrent();
  }

  get attached(): string | null {
    return this._current?.attached?.node ?? null;
  }

  sessionOn(nodeId: string): string | null {
    const { attached = null, session = null } = this._current ?? {};
    return (attached?.node === nodeId && attached.session) || session;
  }

  get attachedChanged(): ISignal<this, void> {
    return this._attachedChanged;
  }

  toggleAttached(nodeId: string): void {
    const { commands, shell } = this._app;
    const panel = notebookPanel(shell.currentWidget);
    if (panel === null) {
      Notification.info(
        this._trans.__('Open a notebook first, to attach it to %1.', nodeId),
        { autoClose: READ_MS }
      );
      return;
    }
    const attachment = this._attachments.of(panel);
    const isAttached = attachment.attached?.node === nodeId;
    attachment.attach(isAttached ? null : nodeId);
    if (!isAttached) {
      void tellWhereNotLoaded(attachment, panel, commands, this._trans);
    }
  }

  insert(nodeId: string): void {
    const { commands, shell } = this._app;
    const current = notebookPanel(shell.currentWidget);
    const opened = current ? filled(current) : this._newNotebook();
    void opened.then(notebook => {
      if (notebook !== null) {
        insertRemoteCell(notebook, nodeId, commands);
      }
    });
  }

  move(nodeId: string, cells?: readonly ICell[]): void {
    const active = activeCell(this._app);
    moveCells(
      this._app,
      cells ?? (active ? [active] : []),
      nodeId,
      this._trans
    );
  }

  get canOpen(): boolean {
    return this._app.commands.hasCommand(CommandIDs.openNode);
  }

  open(nodeId: string): void {
    if (this.canOpen) {
      void this._app.commands.execute(CommandIDs.openNode, { nodeId });
    }
  }

  copy(nodeId: string): void {
    Clipboard.copyToSystem(nodeId);
    Notification.info(this._trans.__('Copied: %1', nodeId), {
      autoClose: GLANCE_MS
    });
  }

  drag(nodeId: string, event: DragEvent): void {
    event.preventDefault(); // JupyterLab has drags of its own
    const mimeData = new MimeData();
    const notebook = notebookPanel(this._app.shell.currentWidget);
    const before =
      notebook === null || hasLoader(notebook) ? [] : [codeCell(LOADER)];
    mimeData.setData(CELL_MIME, [...before, remoteCell(nodeId)]);
    mimeData.setData('text/plain', nodeId);
    const dragImage = document.createElement('div');
    dragImage.className = 'jp-EasyRemote-dragged';
    dragImage.textContent = nodeId;
    const drag = new Drag({
      mimeData,
      dragImage,
      supportedActions: 'copy-move',
      proposedAction: 'copy'
    });
    void drag.start(event.clientX, event.clientY).then(() => {
      drag.dispose();
    });
  }

  /** A new notebook with the usual kernel, as soon as that runs. */
  private async _newNotebook(): Promise<INotebookPanel | null> {
    const { commands, serviceManager } = this._app;
    const kernelName = serviceManager.kernelspecs.specs?.default;
    const widget = (await commands.execute('notebook:create-new', {
      kernelName
    })) as INotebookPanel;
    await widget.context.sessionContext.ready;
    return notebookPanel(widget);
  }

  private readonly _onCurrent = () => {
    const panel = notebookPanel(this._app.shell.currentWidget);
    const current = panel && this._attachments.of(panel);
    if (current !== this._current) {
      this._current?.changed.disconnect(this._onAttached);
      this._current = current;
      this._current?.changed.connect(this._onAttached);
      this._onAttached();
    }
  };

  private readonly _onAttached = () => {
    this._attachedChanged.emit();
  };

  private readonly _app: JupyterFrontEnd;
  private readonly _attachments: IAttachments;
  private readonly _attachedChanged = new Signal<this, void>(this);
  private _current: Attachment | null = null;
  private readonly _trans: TranslationBundle;
}
