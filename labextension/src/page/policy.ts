/** What the owner of a node allows, and who is there, in words. No DOM. */

import { TranslationBundle } from '@jupyterlab/translation';
import { roughly } from '../core/format';
import { IFunction } from '../functions/functions';
import { INode, ISnapshot } from '../core/protocol';

/** A sentence for each rule that the node has told of. */
export function policy(node: INode, trans: TranslationBundle): string[] {
  const sentences = [
    ...(node.closed
      ? [trans.__('Nothing new starts here now: %1.', node.closed)]
      : []),
    node.runs_code
      ? trans.__(
          'Cells and shipped functions of every client key run here, in processes of their own.'
        )
      : trans.__(
          'Only registered functions run here: no cells and no shipped code.'
        ),
    trans._n(
      '%1 call of its functions runs at a time; more wait for their turn.',
      '%1 calls of its functions run at a time; more wait for their turn.',
      node.slots,
      node.slots
    )
  ];
  for (const [name, why] of Object.entries(node.withheld)) {
    sentences.push(
      trans.__('It has %1, but does not offer it: %2.', `${name}()`, why)
    );
  }
  if (!node.runs_code) {
    return sentences;
  }
  if (node.processes !== null) {
    sentences.push(
      trans._n(
        '%1 shipped function of a key runs at a time, and one cell in each session.',
        '%1 shipped functions of a key run at a time, and one cell in each session.',
        node.processes,
        node.processes
      )
    );
  }
  sentences.push(
    node.installs
      ? trans.__(
          'Sessions can install packages for themselves with %1.',
          '%%remote --with'
        )
      : trans.__(
          'Sessions cannot install packages: the owner of the node does not allow it.'
        )
  );
  if (node.session_idle !== null) {
    sentences.push(
      trans.__(
        'A session that is idle for %1 ends, and its variables are lost.',
        roughly(node.session_idle)
      )
    );
  }
  return sentences;
}

/** Whose jobs run there; of other keys only the number of jobs is shown. */
export function users(
  node: INode,
  { jobs }: ISnapshot,
  trans: TranslationBundle
): string {
  const own = jobs.filter(
    job => job.node_id === node.node_id && job.state !== 'queued'
  ).length;
  const others = Math.max(node.running - own, 0);
  const parts: string[] = [];
  if (own > 0) {
    parts.push(trans._n('%1 job of this key', '%1 jobs of this key', own, own));
  }
  if (others > 0) {
    parts.push(
      trans._n('%1 job of another key', '%1 jobs of other keys', others, others)
    );
  }
  return parts.length === 0
    ? trans.__('Nobody at the moment.')
    : parts.join(', ');
}

/** The limits of a call of the function. */
export function limits(fn: IFunction, trans: TranslationBundle): string {
  const parts: string[] = [];
  if (fn.needs !== '') {
    parts.push(trans.__('needs %1', fn.needs));
  }
  if (fn.max_concurrency > 0) {
    parts.push(trans.__('%1 at a time', fn.max_concurrency));
  }
  if (fn.timeout > 0) {
    parts.push(trans.__('for %1 at most', roughly(fn.timeout)));
  }
  if (fn.streams) {
    parts.push(trans.__('item by item'));
  }
  if (fn.public) {
    parts.push(trans.__('also over HTTP'));
  }
  return parts.join(', ');
}
