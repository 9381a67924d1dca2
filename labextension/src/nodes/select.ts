/** Which nodes are shown, and in which order. */

import { IOptions } from '../core/options';
import { INode } from '../core/protocol';

export type Choice = Pick<IOptions, 'sort' | 'onlyOnline' | 'onlyGpu'>;

/** `node-2` comes before `node-10`. */
const byName = new Intl.Collator(undefined, { numeric: true }).compare;

/** The nodes that fit the words of the query and the filters, in order. */
export function select(
  nodes: readonly INode[],
  query: string,
  { sort, onlyOnline, onlyGpu }: Choice
): INode[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = nodes.filter(
    node =>
      (!onlyOnline || node.state === 'online') &&
      (!onlyGpu || node.gpus.length > 0) &&
      matches(node, words)
  );
  return chosen.sort(
    (a, b) =>
      (sort === 'load' ? load(b) - load(a) : 0) || byName(a.node_id, b.node_id)
  );
}

/** The busiest part of a node, 0 to 1; below that for one that is not there. */
export function load(node: INode): number {
  if (node.state === 'offline') {
    return -1;
  }
  const gpus = node.gpus.map(gpu => gpu.use ?? 0);
  return Math.max(node.cpu ?? 0, ...gpus);
}

function matches(node: INode, words: string[]): boolean {
  const text = [
    node.node_id,
    node.state,
    ...node.labels,
    ...node.functions,
    ...node.gpus.map(gpu => gpu.name)
  ]
    .join('\n')
    .toLowerCase();
  return words.every(word => text.includes(word));
}
