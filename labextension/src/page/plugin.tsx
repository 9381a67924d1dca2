/** The plugin of the nodes' pages: opened from rows and the palette, restored with the layout. */

import {
  ILabShell,
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, WidgetTracker } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { launchIcon, ReactWidget } from '@jupyterlab/ui-components';
import { DisposableSet } from '@lumino/disposable';
import * as React from 'react';
import { IAttachments } from '../attach/attachments';
import { NODE_ROW, pointedNode } from '../nodes/pointed';
import { CommandIDs } from '../core/commands';
import { FunctionActions } from '../functions/actions';
import { caller } from '../core/request';
import { SessionActions } from '../sessions/actions';
import { SessionsModel } from '../sessions/model';
import { IConnectionModel } from '../core/tokens';
import { IJobActions } from '../jobs/actions';
import { remoteIcon } from '../ui/icons';
import { INodePageProps, NodePage } from './view';

/** How many nodes the palette lists: nobody searches a longer list there. */
const IN_PALETTE = 50;

export const nodePage: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:node-page',
  description: 'A page for each node.',
  autoStart: true,
  requires: [IConnectionModel, IAttachments, IJobActions],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: IConnectionModel,
    attachments: IAttachments,
    jobActions: IJobActions,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ) => {
    if (shell === null) {
      return; // Notebook 7 has no tabs for pages
    }
    const trans = (translator ?? nullTranslator).load('easyremote');
    const tracker = new WidgetTracker<NodeWidget>({
      namespace: 'easyremote-node'
    });
    const call = caller(app.serviceManager.serverSettings);
    const common = {
      model,
      jobActions,
      sessionActions: new SessionActions(app, attachments, trans),
      functionActions: new FunctionActions(app, trans),
      call,
      trans
    };
    const open = (nodeId: string) => {
      let widget = tracker.find(each => each.nodeId === nodeId);
      if (widget === undefined) {
        const sessions = new SessionsModel(model, call, nodeId);
        widget = new NodeWidget({ ...common, nodeId, sessions });
        shell.add(widget, 'main');
        void tracker.add(widget);
      }
      shell.activateById(widget.id);
    };
    app.commands.addCommand(CommandIDs.openNode, {
      label: ({ nodeId }) =>
        typeof nodeId === 'string'
          ? trans.__('Open the page of %1', nodeId)
          : trans.__('Open Its Page'),
      icon: launchIcon,
      execute: ({ nodeId }) => {
        const wanted = typeof nodeId === 'string' ? nodeId : pointedNode(app);
        if (wanted !== undefined) {
          open(wanted);
        }
      }
    });
    app.contextMenu.addItem({
      command: CommandIDs.openNode,
      selector: NODE_ROW
    });
    void restorer?.restore(tracker, {
      command: CommandIDs.openNode,
      args: ({ nodeId }) => ({ nodeId }),
      name: ({ nodeId }) => nodeId
    });
    if (palette !== null) {
      nameNodes(palette, model);
    }
  }
};

/** Have the palette open the page of each node that there is. */
function nameNodes(palette: ICommandPalette, model: IConnectionModel): void {
  let named = '[]';
  let items = new DisposableSet();
  const update = () => {
    const { state } = model;
    const nodes = state.kind === 'snapshot' ? state.nodes : [];
    const ids = nodes.slice(0, IN_PALETTE).map(node => node.node_id);
    if (JSON.stringify(ids) === named) {
      return;
    }
    named = JSON.stringify(ids);
    items.dispose();
    items = DisposableSet.from(
      ids.map(nodeId =>
        palette.addItem({
          command: CommandIDs.openNode,
          category: 'EasyRemote',
          args: { nodeId }
        })
      )
    );
  };
  model.stateChanged.connect(update);
  update();
}

class NodeWidget extends ReactWidget {
  constructor(props: INodePageProps) {
    super();
    this.nodeId = props.nodeId;
    this.id = `easyremote-node-${props.nodeId}`;
    this.addClass('jp-EasyRemote-pageWidget');
    this.title.label = props.nodeId;
    this.title.caption = props.trans.__('The node %1', props.nodeId);
    this.title.icon = remoteIcon;
    this.title.closable = true;
    this._props = props;
  }

  readonly nodeId: string;

  override dispose(): void {
    this._props.sessions.dispose();
    super.dispose();
  }

  protected override render(): React.ReactElement {
    return <NodePage {...this._props} />;
  }

  private readonly _props: INodePageProps;
}
