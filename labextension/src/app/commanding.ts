/** The plugin of the commands: in the palette, the launcher and the menu of a node. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import {
  ITranslator,
  nullTranslator,
  TranslationBundle
} from '@jupyterlab/translation';
import {
  addBelowIcon,
  copyIcon,
  LabIcon,
  linkIcon
} from '@jupyterlab/ui-components';
import { IAttachments } from '../attach/attachments';
import { INodeActions, NodeActions } from '../nodes/actions';
import { CommandIDs } from '../core/commands';
import { addMoveCommand } from '../notebook/moveCommand';
import { activeCell } from '../notebook/move';
import { IConnectionModel } from '../core/tokens';
import { NODE_ROW, pointedNode } from '../nodes/pointed';
import { remoteIcon } from '../ui/icons';
import { PANEL_ID } from './sidebar';

export const commanding: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:commands',
  description: 'The commands of EasyRemote.',
  autoStart: true,
  requires: [IConnectionModel, IAttachments],
  optional: [ITranslator, ICommandPalette, ILauncher],
  activate: (
    app: JupyterFrontEnd,
    model: IConnectionModel,
    attachments: IAttachments,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null
  ) => {
    const trans = (translator ?? nullTranslator).load('easyremote');
    addPanelCommands(app, model, trans);
    addNodeCommands(app, new NodeActions(app, attachments, trans), trans);
    addMoveCommand(app, model, palette, trans);
    for (const command of [CommandIDs.showPanel, CommandIDs.retry]) {
      palette?.addItem({ command, category: 'EasyRemote' });
    }
    launcher?.add({
      command: CommandIDs.showPanel,
      category: trans.__('Other'),
      rank: 10
    });
  }
};

function addPanelCommands(
  { commands, shell }: JupyterFrontEnd,
  model: IConnectionModel,
  trans: TranslationBundle
): void {
  commands.addCommand(CommandIDs.showPanel, {
    label: args =>
      args['isPalette']
        ? trans.__('Show the EasyRemote nodes')
        : trans.__('Remote nodes'),
    caption: trans.__('Show the nodes of EasyRemote'),
    icon: remoteIcon,
    execute: () => {
      shell.activateById(PANEL_ID);
    }
  });
  commands.addCommand(CommandIDs.retry, {
    label: trans.__('Connect to the EasyRemote gateway now'),
    execute: () => {
      model.retry();
    }
  });
}

function addNodeCommands(
  app: JupyterFrontEnd,
  actions: INodeActions,
  trans: TranslationBundle
): void {
  const add = (
    command: string,
    options: { label: string; icon?: LabIcon; isEnabled?: () => boolean },
    execute: (nodeId: string) => void
  ) => {
    app.commands.addCommand(command, {
      ...options,
      execute: () => {
        const nodeId = pointedNode(app);
        if (nodeId !== undefined) {
          execute(nodeId);
        }
      }
    });
    app.contextMenu.addItem({ command, selector: NODE_ROW });
  };
  add(
    CommandIDs.insertCell,
    { label: trans.__('Insert a Cell for This Node'), icon: addBelowIcon },
    nodeId => {
      actions.insert(nodeId);
    }
  );
  add(
    CommandIDs.moveCellHere,
    {
      label: trans.__('Make the Active Cell Run on This Node'),
      isEnabled: () => activeCell(app) !== null
    },
    nodeId => {
      actions.move(nodeId);
    }
  );
  add(
    CommandIDs.attach,
    {
      label: trans.__('Attach the Notebook to This Node, or Detach It'),
      icon: linkIcon
    },
    nodeId => {
      actions.toggleAttached(nodeId);
    }
  );
  add(
    CommandIDs.copyName,
    { label: trans.__('Copy the Name'), icon: copyIcon },
    nodeId => {
      actions.copy(nodeId);
    }
  );
}
