/** The text of a cell for a node. */

import { ICodeCell } from '@jupyterlab/nbformat';

/** A cell that runs on a node. */
export function remoteCell(nodeId: string): ICodeCell {
  const name = /^[\w.@:-]+$/.test(nodeId) ? nodeId : JSON.stringify(nodeId);
  return {
    cell_type: 'code',
    source: `%%remote ${name}\n`,
    metadata: {},
    outputs: [],
    execution_count: null
  };
}
