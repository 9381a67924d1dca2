/** What can be done with a node, from wherever it is shown. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';
import { remoteCell } from './cell';
import { CELL_MIME, insertCell, notebookOf } from './notebook';

export interface INodeActions {
  /** Put a cell that runs on the node below the active one. */
  insert(nodeId: string): void;
  /** Copy the name of the node. */
  copy(nodeId: string): void;
  /** The drag of a node begins: as a cell into a notebook, as its name elsewhere. */
  drag(nodeId: string, event: DragEvent): void;
}

export class NodeActions implements INodeActions {
  constructor(shell: JupyterFrontEnd.IShell, trans: TranslationBundle) {
    this._shell = shell;
    this._trans = trans;
  }

  insert(nodeId: string): void {
    const notebook = notebookOf(this._shell.currentWidget);
    if (notebook === null) {
      Notification.info(
        this._trans.__(
          'Open a notebook first: the cell for %1 goes there.',
          nodeId
        )
      );
    } else {
      insertCell(notebook, nodeId);
    }
  }

  copy(nodeId: string): void {
    Clipboard.copyToSystem(nodeId);
    Notification.info(this._trans.__('Copied: %1', nodeId), {
      autoClose: 1500
    });
  }

  drag(nodeId: string, event: DragEvent): void {
    event.preventDefault(); // JupyterLab has drags of its own
    const mimeData = new MimeData();
    mimeData.setData(CELL_MIME, [remoteCell(nodeId)]);
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

  private readonly _shell: JupyterFrontEnd.IShell;
  private readonly _trans: TranslationBundle;
}
