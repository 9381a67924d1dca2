/** Lets cells of notebooks be dropped on the rows of nodes. */

import { Drag } from '@lumino/dragdrop';
import { ICell } from './notebook';

/** The MIME type under which JupyterLab hands over the widgets of dragged cells. */
const CELLS = 'internal:cells';
/** The row that would take the cells. */
const TARGET_CLASS = 'jp-mod-dropTarget';

/** What is used of a Lumino drag event, which is no DOM event. */
type DragEvent = Pick<
  Drag.Event,
  'mimeData' | 'dropAction' | 'target' | 'preventDefault'
>;

/** Rows below `list` that have `data-node` take cells from now on. */
export function acceptCells(
  list: HTMLElement,
  onDrop: (cells: readonly ICell[], nodeId: string) => void
): void {
  let target: HTMLElement | null = null;
  const point = (row: HTMLElement | null) => {
    target?.classList.remove(TARGET_CLASS);
    target = row;
    target?.classList.add(TARGET_CLASS);
  };
  const on = (
    type: string,
    act: (event: DragEvent, row: HTMLElement | null) => void
  ) => {
    list.addEventListener(type, event => {
      const drag = event as unknown as DragEvent;
      if (drag.mimeData.hasData(CELLS)) {
        const row = (drag.target as Element).closest('[data-node]');
        act(drag, row as HTMLElement | null);
      }
    });
  };
  on('lm-dragenter', event => {
    event.preventDefault(); // without this no other event comes
  });
  on('lm-dragleave', () => {
    point(null);
  });
  on('lm-dragover', (event, row) => {
    point(row);
    event.dropAction = row === null ? 'none' : 'copy';
    event.preventDefault();
  });
  on('lm-drop', (event, row) => {
    point(null);
    const nodeId = row?.dataset['node'];
    if (nodeId !== undefined) {
      event.preventDefault();
      event.dropAction = 'copy';
      onDrop(event.mimeData.getData(CELLS) as ICell[], nodeId);
    }
  });
}
