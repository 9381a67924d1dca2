/**
 * What we need of a notebook. Structural, so that the extension works in
 * whatever hosts a notebook, and does not bundle its types.
 */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { ICodeCell } from '@jupyterlab/nbformat';
import { Widget } from '@lumino/widgets';
import { remoteCell } from './cell';

/** Under this name JupyterLab's notebooks take cells that are dropped. */
export const CELL_MIME = 'application/vnd.jupyter.cells';

export interface ICell extends Widget {
  model: { id: string; sharedModel: { getSource(): string } };
}

export interface INotebook extends Widget {
  activeCellIndex: number;
  model: {
    sharedModel: { insertCell(index: number, cell: object): unknown };
  } | null;
  mode: string;
  widgets: readonly ICell[];
  activate(): void;
  scrollToItem?(index: number, align?: string): Promise<void>;
}

/** A cell of an open notebook. */
export interface IFoundCell {
  /** The widget of the main area that holds the notebook. */
  panel: Widget;
  notebook: INotebook;
  index: number;
  cell: ICell;
}

/** The notebook in a widget of the main area, or null where it is something else. */
export function notebookOf(widget: Widget | null): INotebook | null {
  const content: unknown = (widget as { content?: unknown } | null)?.content;
  const isNotebook =
    content instanceof Widget && content.hasClass('jp-Notebook');
  return isNotebook ? (content as unknown as INotebook) : null;
}

/** The cell with an id, in whichever notebook is open. */
export function findCell(
  shell: JupyterFrontEnd.IShell,
  id: string
): IFoundCell | null {
  for (const panel of shell.widgets('main')) {
    const notebook = notebookOf(panel);
    const index = notebook?.widgets.findIndex(each => each.model.id === id);
    if (notebook && index !== undefined && index >= 0) {
      return { panel, notebook, index, cell: notebook.widgets[index] };
    }
  }
  return null;
}

/** Insert a cell for the node below the active one, ready to be written in. */
export function insertCell(notebook: INotebook, nodeId: string): void {
  insertBelow(notebook, notebook.activeCellIndex, remoteCell(nodeId));
  notebook.mode = 'edit';
}

/** Insert a cell below another one, and make it the active one. */
export function insertBelow(
  notebook: INotebook,
  index: number,
  cell: ICodeCell
): void {
  notebook.model?.sharedModel.insertCell(index + 1, cell);
  notebook.activeCellIndex = index + 1;
  notebook.activate();
}
