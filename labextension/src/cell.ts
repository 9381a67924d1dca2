/** The texts of cells: those that we write, and what a cell is called by. */

import { ICodeCell } from '@jupyterlab/nbformat';

/** A cell that runs on a node. */
export function remoteCell(nodeId: string): ICodeCell {
  const name = /^[\w.@:-]+$/.test(nodeId) ? nodeId : JSON.stringify(nodeId);
  return codeCell(`%%remote ${name}\n`);
}

/** A cell with this source. */
export function codeCell(source: string): ICodeCell {
  return {
    cell_type: 'code',
    source,
    metadata: {},
    outputs: [],
    execution_count: null
  };
}

/** The first line of a cell that says what it does: imports don't, if there is more. */
export function cellTitle(source: string): string {
  const lines = source.split('\n').map(line => line.trim());
  const code = lines.filter(line => line !== '' && !/^(#|%%)/.test(line));
  return code.find(line => !/^(import|from)\s/.test(line)) ?? code.at(0) ?? '';
}
