import { describe, expect, it } from 'vitest';
import { elapsed, LENGTH, merge, meters, received } from './merge';
import { IDelta, ISnapshot } from './protocol';
import { exchange } from './samples.testing';

const [SNAPSHOT, ...DELTAS] = exchange() as [ISnapshot, ...IDelta[]];

function after(count: number): ISnapshot {
  return DELTAS.slice(0, count).reduce<ISnapshot>(
    (state, delta, index) =>
      merge(state, delta, 1000 * (index + 1)) as ISnapshot,
    received(SNAPSHOT, 0, null)
  );
}

describe('merge', () => {
  it('changes what is named, and nothing else', () => {
    const { nodes, jobs } = after(1);
    expect(nodes.map(node => [node.node_id, node.cpu])).toEqual([
      ['a', 0.9],
      ['b', 0.1]
    ]);
    expect(jobs.map(job => job.call_id)).toEqual(['a1']);
  });

  it('removes what is gone, and adds what is new at the end', () => {
    const { nodes, jobs } = after(3);
    expect(nodes.map(node => node.node_id)).toEqual(['a', 'c']);
    expect(jobs.map(job => job.call_id)).toEqual(['a2']);
  });

  it('keeps what is over, the newest first, and how many more there are', () => {
    const { ended, more } = after(3);
    expect([ended.map(job => job.call_id), more]).toEqual([['a1'], 3]);
    expect(ended[0].heard).toBe(3000);
    const again = { ...DELTAS[2], seq: 4, over: [], ended: [] };
    const next = merge(after(3), again, 4000) as ISnapshot;
    expect(next.ended).toEqual(ended);
  });

  it('tells how long the gateway takes, as it was measured last', () => {
    expect([after(2).latency, after(3).latency]).toEqual([null, 0.0234]);
    const again = { ...DELTAS[2], seq: 4, latency: undefined };
    expect(merge(after(3), again, 4000)?.latency).toBe(0.0234);
  });

  it('extends every series, of nodes that were not named too', () => {
    const { history } = after(2);
    expect(history).toEqual({
      a: [
        [40, 42, 90, 90],
        [25, 25, 25, 25],
        [1200, 0, null, null],
        [3, 3, null, null]
      ],
      b: [
        [10, 10, 10],
        [50, 50, 50],
        [0, null, null],
        [0, null, null]
      ]
    });
    expect(after(3).history['c']).toEqual([[null], [null], [null], [null]]);
    expect(after(3).history['b']).toBeUndefined();
  });

  it('keeps five minutes, however long it was away', () => {
    const jump = { ...DELTAS[0], sample: 2 + 10 * LENGTH };
    const { history } = merge(SNAPSHOT, jump, 0) as ISnapshot;
    expect(history['a']?.[0]).toEqual(new Array(LENGTH).fill(90));
  });

  it('refuses a delta that is not the next one', () => {
    expect(merge(SNAPSHOT, DELTAS[1], 0)).toBeNull();
    expect(merge(SNAPSHOT, { ...DELTAS[0], seq: 0 }, 0)).toBeNull();
  });

  it('leaves the state before it as it was', () => {
    const before = JSON.stringify(SNAPSHOT);
    after(3);
    expect(JSON.stringify(SNAPSHOT)).toBe(before);
  });

  it('counts on from when something was heard, by this clock alone', () => {
    const [a, b] = after(1).nodes;
    expect(elapsed(a.since, a.heard, 3000)).toBe(15.5);
    expect(elapsed(b.since, b.heard, 3000)).toBe(6);
  });
});

describe('meters', () => {
  it('are in the order of the server', () => {
    const gpus = [
      { name: 'A100', use: 0.25, memory_used: 1, memory_total: 2 },
      { name: 'A100', use: null, memory_used: null, memory_total: 2 }
    ];
    const network = { received: 1_234_567, sent: 400 };
    expect(meters({ ...SNAPSHOT.nodes[0], gpus, ...network })).toEqual([
      42,
      25,
      1235,
      0,
      25,
      50,
      null,
      null
    ]);
  });

  it('of what is offline are not known', () => {
    const node = { ...SNAPSHOT.nodes[0], state: 'offline' };
    expect(meters(node)).toEqual([null, null, null, null]);
  });
});
