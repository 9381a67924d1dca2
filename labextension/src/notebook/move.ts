/** Makes cells of a notebook run on a node. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import {
  findCell,
  hasLoader,
  ICell,
  insertLoader,
  isLoader,
  notebookPanel
} from './notebook';
import { READ_MS } from '../ui/notices';
import { retargeted } from './line';

/**
 * Make these cells run on the node the next time that they run. Cells that are
 * no code are not changed, and the user is told. If no cell loads the magics, one
 * that does is inserted before the first of them.
 */
export function moveCells(
  { commands, shell }: JupyterFrontEnd,
  cells: readonly ICell[],
  nodeId: string,
  trans: TranslationBundle
): void {
  const movable = cells.filter(isMovable);
  for (const { model } of movable) {
    const { start, end, text } = retargeted(
      model.sharedModel.getSource(),
      nodeId
    );
    model.sharedModel.updateSource(start, end, text);
  }
  const found =
    movable.length > 0 ? findCell(shell, movable[0].model.id) : null;
  const panel = notebookPanel(found?.panel ?? null);
  if (found !== null && panel !== null && !hasLoader(panel)) {
    const { content } = panel;
    const active = content.activeCell;
    insertLoader(panel, found.index, commands);
    content.activeCellIndex = content.widgets.findIndex(e => e === active);
  }
  const left = cells.length - movable.length;
  if (left > 0) {
    Notification.info(
      trans._n(
        '%1 cell was not changed: only code cells run on a node.',
        '%1 cells stay as they are: only code runs on a node.',
        left,
        left
      ),
      { autoClose: READ_MS }
    );
  }
}

/** The active cell of the notebook in front. */
export function activeCell({ shell }: JupyterFrontEnd): ICell | null {
  return notebookPanel(shell.currentWidget)?.content.activeCell ?? null;
}

function isMovable({ model }: ICell): boolean {
  return model.type === 'code' && !isLoader(model.sharedModel.getSource());
}
