/** The texts of cells: those that we write, and the title of a cell. */

import { ICodeCell } from '@jupyterlab/nbformat';

/** Loads the magics. */
export const LOADER = '%load_ext easyremote';

/** A cell that runs on a node. */
export function remoteCell(nodeId: string): ICodeCell {
  return codeCell(`%%remote ${quoted(nodeId)}\n`);
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

/** The title of a cell: its first line that is no import, if there is one. */
export function cellTitle(source: string): string {
  const lines = source.split('\n').map(line => line.trim());
  const code = lines.filter(line => line !== '' && !/^(#|%%)/.test(line));
  return code.find(line => !/^(import|from)\s/.test(line)) ?? code.at(0) ?? '';
}

/** A name as the magics read it. */
export function quoted(name: string): string {
  return /^[\w.@:-]+$/.test(name) ? name : JSON.stringify(name);
}
