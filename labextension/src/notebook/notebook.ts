/**
 * What we need of a notebook. Structural, so that the extension works in
 * whatever hosts a notebook, and does not bundle its types.
 */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { SemanticCommand } from '@jupyterlab/apputils';
import { ICodeCell } from '@jupyterlab/nbformat';
import { Kernel } from '@jupyterlab/services';
import { CommandRegistry } from '@lumino/commands';
import { ISignal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { codeCell, LOADER, remoteCell } from './cell';

/** The MIME type under which JupyterLab's notebooks take dropped cells. */
export const CELL_MIME = 'application/vnd.jupyter.cells';

export interface ICell extends Widget {
  readonly model: {
    readonly id: string;
    readonly type: string;
    readonly sharedModel: {
      getSource(): string;
      updateSource(start: number, end: number, text: string): void;
    };
  };
  readonly ready: Promise<void>;
  readonly editor: {
    setCursorPosition(position: { line: number; column: number }): void;
  } | null;
}

export interface INotebook extends Widget {
  activeCellIndex: number;
  readonly activeCell: ICell | null;
  readonly widgets: readonly ICell[];
  readonly model: {
    readonly sharedModel: {
      readonly cells: readonly { getSource(): string }[];
      insertCell(index: number, cell: object): unknown;
    };
  } | null;
  mode: string;
  activate(): void;
  scrollToItem?(index: number, align?: string): Promise<void>;
}

/** A cell of an open notebook. */
export interface IFoundCell {
  panel: INotebookPanel;
  notebook: INotebook;
  index: number;
  cell: ICell;
}

/** What is needed of a notebook's `DocumentRegistry.IContext`. */
export interface INotebookContext {
  readonly sessionContext: {
    readonly ready: Promise<void>;
    readonly session: {
      readonly kernel: Kernel.IKernelConnection | null;
    } | null;
    readonly kernelChanged: ISignal<unknown, unknown>;
  };
  readonly model: {
    getMetadata(key: string): unknown;
    setMetadata(key: string, value: unknown): void;
    deleteMetadata(key: string): void;
  };
}

/** The widget of the main area that holds a notebook. */
export interface INotebookPanel extends Widget {
  readonly content: INotebook;
  readonly context: INotebookContext & { readonly ready: Promise<void> };
}

/** The notebook panel that a widget of the main area is, or null where it is something else. */
export function notebookPanel(widget: Widget | null): INotebookPanel | null {
  const content: unknown = (widget as { content?: unknown } | null)?.content;
  const isNotebook =
    content instanceof Widget && content.hasClass('jp-Notebook');
  return isNotebook ? (widget as unknown as INotebookPanel) : null;
}

/** The panel, once its file is in it: a cell that is inserted before that is lost. */
export async function filled(panel: INotebookPanel): Promise<INotebookPanel> {
  await panel.context.ready;
  return panel;
}

/** The cell with an id, in whichever notebook is open. */
export function findCell(
  shell: JupyterFrontEnd.IShell,
  id: string
): IFoundCell | null {
  for (const widget of shell.widgets('main')) {
    const panel = notebookPanel(widget);
    const notebook = panel?.content;
    const index = notebook?.widgets.findIndex(each => each.model.id === id);
    if (panel && notebook && index !== undefined && index >= 0) {
      return { panel, notebook, index, cell: notebook.widgets[index] };
    }
  }
  return null;
}

/** Whether a cell of the notebook loads the magics. */
export function hasLoader({ content }: INotebookPanel): boolean {
  const cells = content.model?.sharedModel.cells ?? [];
  return cells.some(cell => isLoader(cell.getSource()));
}

/** Whether a cell with this source loads the magics. */
export function isLoader(source: string): boolean {
  return /load_ext\s+easyremote/.test(source);
}

/**
 * Insert a cell for the node below the active one (above, if that is empty),
 * ready to be written in. Where no cell loads the magics, one that does comes
 * before it, and is run.
 */
export function insertRemoteCell(
  panel: INotebookPanel,
  nodeId: string,
  commands: CommandRegistry
): void {
  const { content } = panel;
  const active = content.model?.sharedModel.cells[content.activeCellIndex];
  let place = content.activeCellIndex;
  place += active?.getSource() === '' ? 0 : 1;
  if (!hasLoader(panel)) {
    insertLoader(panel, place, commands);
    place += 1;
  }
  insertAt(content, place, remoteCell(nodeId));
  content.mode = 'edit';
  content.activate();
  const cell = content.activeCell;
  void cell?.ready.then(() => {
    cell.editor?.setCursorPosition({ line: 1, column: 0 });
  });
}

/** Insert a cell below the active one, and make it the active one. */
export function insertBelow(notebook: INotebook, cell: ICodeCell): void {
  insertAt(notebook, notebook.activeCellIndex + 1, cell);
  notebook.activate();
}

/**
 * Insert a cell with a magic below another one, or below the active one, and run
 * it. Where no cell loads the magics, one that does comes before it, and is run.
 */
export async function runMagic(
  panel: INotebookPanel,
  below: number | null,
  source: string,
  { commands, shell }: JupyterFrontEnd
): Promise<void> {
  const { content } = await filled(panel);
  let place = (below ?? content.activeCellIndex) + 1;
  if (!hasLoader(panel)) {
    insertLoader(panel, place, commands);
    place += 1;
  }
  insertAt(content, place, codeCell(source));
  shell.activateById(panel.id);
  content.activate();
  runWhenReady(panel, commands);
}

/** Insert a cell that loads the magics, and run it. */
export function insertLoader(
  panel: INotebookPanel,
  place: number,
  commands: CommandRegistry
): void {
  insertAt(panel.content, place, codeCell(LOADER));
  runWhenReady(panel, commands);
}

/**
 * Run the active cell as soon as there is a kernel. What is active then stays so:
 * the cell, and the tab that the user may have gone to meanwhile.
 */
function runWhenReady(panel: INotebookPanel, commands: CommandRegistry): void {
  const { content, context } = panel;
  const cell = content.activeCell;
  void context.sessionContext.ready.then(() => {
    const place = content.widgets.findIndex(each => each === cell);
    if (place < 0) {
      return; // it was deleted meanwhile
    }
    const { activeCellIndex, mode } = content;
    content.activeCellIndex = place;
    void commands.execute('notebook:run-cell', {
      [SemanticCommand.WIDGET]: panel.id,
      activate: false
    });
    content.activeCellIndex = activeCellIndex;
    content.mode = mode;
  });
}

function insertAt(notebook: INotebook, place: number, cell: object): void {
  notebook.model?.sharedModel.insertCell(place, cell);
  notebook.activeCellIndex = place;
}
