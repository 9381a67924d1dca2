import { describe, expect, it } from 'vitest';
import { IJob } from '../protocol';
import { ended, places } from './jobs';

function job(call_id: string, node_id: string | null, rest = {}): IJob {
  const base = { function: 'train', state: 'queued', seconds: 10, heard: 0 };
  return { call_id, node_id, ...base, ...rest };
}

describe('the place in the queue', () => {
  it('is counted for each node, among those that wait', () => {
    const jobs = [
      job('a', 'one', { state: 'running' }),
      job('b', 'one'),
      job('c', 'two'),
      job('d', 'one'),
      job('e', null)
    ];
    expect([...places(jobs)]).toEqual([
      ['b', 1],
      ['c', 1],
      ['d', 2],
      ['e', 1]
    ]);
  });
});

describe('calls that are over', () => {
  const long = job('a', 'one', { state: 'running' });

  it('are those that are no more, if they ran for long', () => {
    expect(ended([long], [], 60, 50_000)).toEqual([long]);
    expect(ended([long], [], 60, 49_000)).toEqual([]);
    expect(ended([long], [long], 60, 50_000)).toEqual([]);
  });

  it('are not those that only waited', () => {
    expect(ended([job('a', 'one')], [], 0, 50_000)).toEqual([]);
  });
});
