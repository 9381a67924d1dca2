/** The commands that make the active cell run on a node: by the node's row, or by a choice. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { ICommandPalette, InputDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandIDs } from '../core/commands';
import { IConnectionModel } from '../core/tokens';
import { activeCell, moveCells } from './move';

const CELL = '.jp-Notebook .jp-CodeCell';

/** In the palette and in the menu of a cell: people choose the node. */
export function addMoveCommand(
  app: JupyterFrontEnd,
  model: IConnectionModel,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  const command = CommandIDs.moveCell;
  const online = () =>
    model.state.kind === 'snapshot'
      ? model.state.nodes
          .filter(node => node.state === 'online')
          .map(node => node.node_id)
      : [];
  app.commands.addCommand(command, {
    label: args =>
      args['isPalette']
        ? trans.__('Make the active cell run on a node…')
        : trans.__('Run on a Node…'),
    isEnabled: () => activeCell(app) !== null && online().length > 0,
    execute: async () => {
      const cell = activeCell(app);
      const { value } = await InputDialog.getItem({
        title: trans.__('Where should this cell run?'),
        items: online(),
        okLabel: trans.__('Make It Run There')
      });
      if (cell !== null && value !== null) {
        moveCells(app, [cell], value, trans);
      }
    }
  });
  palette?.addItem({
    command,
    category: 'EasyRemote',
    args: { isPalette: true }
  });
  app.contextMenu.addItem({ command, selector: CELL, rank: 20 });
}
