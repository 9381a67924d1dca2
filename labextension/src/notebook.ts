/**
 * What we need of a notebook. Structural, so that the extension works in
 * whatever hosts a notebook, and does not bundle its types.
 */

import { Widget } from '@lumino/widgets';
import { remoteCell } from './cell';

/** Under this name JupyterLab's notebooks take cells that are dropped. */
export const CELL_MIME = 'application/vnd.jupyter.cells';

interface INotebook {
  activeCellIndex: number;
  model: {
    sharedModel: { insertCell(index: number, cell: object): unknown };
  } | null;
  mode: string;
  activate(): void;
}

/** The notebook in a widget of the main area, or null where it is something else. */
export function notebookOf(widget: Widget | null): INotebook | null {
  const content: unknown = (widget as { content?: unknown } | null)?.content;
  const isNotebook =
    content instanceof Widget && content.hasClass('jp-Notebook');
  return isNotebook ? (content as unknown as INotebook) : null;
}

/** Insert a cell for the node below the active one, ready to be written in. */
export function insertCell(notebook: INotebook, nodeId: string): void {
  const below = notebook.activeCellIndex + 1;
  notebook.model?.sharedModel.insertCell(below, remoteCell(nodeId));
  notebook.activeCellIndex = below;
  notebook.mode = 'edit';
  notebook.activate();
}
