/** Where the context menu of a node opens, and for which node. */

import { JupyterFrontEnd } from '@jupyterlab/application';

/** The rows of nodes, for the context menu. */
export const NODE_ROW = '.jp-EasyRemote-nodes [role="treeitem"]';

/** The node whose menu is open. */
export function pointedNode(app: JupyterFrontEnd): string | undefined {
  return app.contextMenuHitTest(
    element => element.dataset['node'] !== undefined
  )?.dataset['node'];
}
