/** Applies a delta to a snapshot. No DOM, and time is an argument. */

import { IDelta, IEndedJob, INode, ISnapshot, Series } from './protocol';

/** Samples that are kept, one a second. */
export const LENGTH = 300;
/** How many jobs that are over are kept: as many as the gateway keeps. */
const ENDED = 50;

/** A snapshot as it came, with the moment when it did, and the history before it. */
export function received(
  snapshot: ISnapshot,
  now: number,
  old: ISnapshot | null
): ISnapshot {
  const isNext = snapshot.after > 0 && snapshot.after === old?.sample;
  return {
    ...snapshot,
    history: isNext ? joined(old.history, snapshot.history) : snapshot.history,
    nodes: snapshot.nodes.map(node => ({ ...node, heard: now })),
    jobs: snapshot.jobs.map(job => ({ ...job, heard: now })),
    ended: snapshot.ended.map(job => ({ ...job, heard: now }))
  };
}

/** The snapshot after this delta, or null if a message between the two is missing. */
export function merge(
  old: ISnapshot,
  delta: IDelta,
  now: number
): ISnapshot | null {
  if (delta.seq !== old.seq + 1) {
    return null;
  }
  const nodes = changed(
    old.nodes,
    delta.nodes?.map(node => ({ ...node, heard: now })),
    delta.gone,
    node => node.node_id
  );
  return {
    ...old,
    seq: delta.seq,
    sample: delta.sample,
    latency: delta.latency ?? old.latency,
    nodes,
    jobs: changed(
      old.jobs,
      delta.jobs?.map(job => ({ ...job, heard: now })),
      delta.over,
      job => job.call_id
    ),
    more: delta.more ?? 0,
    ended: remembered(old.ended, delta.ended ?? [], now),
    history: extended(old.history, nodes, delta.sample - old.sample)
  };
}

/**
 * CPU and RAM of a node in percents, what it receives and sends in kB a second,
 * then use and memory of each GPU in percents.
 */
export function meters(node: INode): Series {
  if (node.state === 'offline') {
    return new Array<null>(4 + 2 * node.gpus.length).fill(null);
  }
  return [
    percents(node.cpu, 1),
    percents(node.memory_used, node.memory_total),
    kilo(node.received),
    kilo(node.sent),
    ...node.gpus.flatMap(gpu => [
      percents(gpu.use, 1),
      percents(gpu.memory_used, gpu.memory_total)
    ])
  ];
}

/** Use and memory of one GPU, of all series of its node. */
export function gpuSeries(history: Series[], index: number): Series[] {
  return history.slice(4 + 2 * index, 6 + 2 * index);
}

/** Seconds that something has lasted by now, by the clock of this page alone. */
export function elapsed(
  seconds: number,
  heard: number | undefined,
  now = Date.now()
): number {
  return seconds + (heard === undefined ? 0 : (now - heard) / 1000);
}

function changed<T>(
  old: T[],
  news: T[] = [],
  gone: string[] = [],
  keyOf: (item: T) => string
): T[] {
  if (news.length === 0 && gone.length === 0) {
    return old;
  }
  const items = new Map(old.map(item => [keyOf(item), item]));
  gone.forEach(key => items.delete(key));
  news.forEach(item => items.set(keyOf(item), item));
  return [...items.values()];
}

/** Jobs that are over: the new ones before those that were known. */
function remembered(
  old: IEndedJob[],
  news: IEndedJob[],
  now: number
): IEndedJob[] {
  return news.length === 0
    ? old
    : [...news.map(job => ({ ...job, heard: now })), ...old].slice(0, ENDED);
}

/** The newer history with the older one before it. */
function joined(
  old: ISnapshot['history'],
  newer: ISnapshot['history']
): ISnapshot['history'] {
  const next: ISnapshot['history'] = {};
  for (const [nodeId, series = []] of Object.entries(newer)) {
    next[nodeId] = series.map((values, index) =>
      [...(old[nodeId]?.[index] ?? []), ...values].slice(-LENGTH)
    );
  }
  return next;
}

/** Each series with so many more samples, all of them with the present values of the node. */
function extended(
  history: ISnapshot['history'],
  nodes: INode[],
  count: number
): ISnapshot['history'] {
  const next: ISnapshot['history'] = {};
  for (const node of nodes) {
    const old = history[node.node_id] ?? [];
    next[node.node_id] = meters(node).map((value, index) => {
      const more = new Array<number | null>(Math.max(count, 0)).fill(value);
      return [...(old[index] ?? []), ...more].slice(-LENGTH);
    });
  }
  return next;
}

function percents(value: number | null, whole: number | null): number | null {
  if (value === null || !whole) {
    return null;
  }
  return Math.min(Math.max(Math.round((100 * value) / whole), 0), 100);
}

function kilo(rate: number | null): number | null {
  return rate === null ? null : Math.round(rate / 1000);
}
