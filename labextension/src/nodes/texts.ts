/** A node in a few words, wherever it is shown. */

import { TranslationBundle } from '@jupyterlab/translation';
import { roughly } from '../core/format';
import { elapsed } from '../core/merge';
import { INode } from '../core/protocol';
import { Shape } from '../ui/shape';

const SHAPES: Partial<Record<string, Shape>> = {
  online: 'well',
  suspect: 'doubt',
  offline: 'off'
};

export function shapeOf({ state }: INode): Shape {
  return SHAPES[state] ?? 'waiting';
}

/** The load of the node, or what is wrong with it, in a few words. */
export function activity(node: INode, trans: TranslationBundle): string {
  const lasted = elapsed(node.since, node.heard, Date.now());
  switch (node.state) {
    case 'online':
      if (node.closed) {
        return trans.__('closed: %1', node.closed);
      }
      return node.running === 0
        ? trans.__('idle')
        : trans.__('%1 of %2 running', node.running, node.slots);
    case 'suspect':
      return trans.__('silent for %1', roughly(lasted));
    case 'offline':
      return trans.__('offline for %1', roughly(lasted));
    default:
      return node.state;
  }
}

/** A warning if the node has another version of EasyRemote; null if it has the same. */
export function mismatch(
  { node_id, version }: INode,
  server: string,
  trans: TranslationBundle
): string | null {
  return version === server
    ? null
    : trans.__(
        '%1 has EasyRemote %2, the Jupyter server has %3. Update the older one if something does not work.',
        node_id,
        version,
        server
      );
}

/** What runs there, and on how many cores. */
export function versions(node: INode, trans: TranslationBundle): string {
  const parts = [`Python ${node.python}`, `EasyRemote ${node.version}`];
  if (node.cores !== null) {
    parts.push(trans._n('%1 core', '%1 cores', node.cores, node.cores));
  }
  return parts.join(' · ');
}
