import { describe, expect, it } from 'vitest';
import { IBar, IBars, IJob } from '../core/protocol';
import {
  arranged,
  barDetails,
  barShare,
  barText,
  meanShare,
  originOf,
  share,
  titleOf
} from './jobs';

function job(call_id: string, rest: Partial<IJob> = {}): IJob {
  return {
    call_id,
    function: 'cell',
    node_id: 'one',
    state: 'running',
    seconds: 10,
    origin: '',
    place: null,
    why: '',
    ...rest
  };
}

function bar(rest: Partial<IBar> = {}): IBar {
  return {
    id: '1',
    position: 0,
    desc: '',
    n: 3,
    total: 10,
    unit: 'it',
    rate: null,
    elapsed: 12,
    eta: null,
    state: 'running',
    postfix: '',
    scaled: false,
    ...rest
  };
}

function bars(...all: IBar[]): IBars {
  return { bars: all, count: all.length };
}

describe('the order of jobs', () => {
  it('has those that run first, then those that wait by their place', () => {
    const jobs = [
      job('a', { state: 'queued', place: 2 }),
      job('b', { state: 'dispatched', place: 1 }),
      job('c'),
      job('d', { state: 'dispatched' })
    ];
    const ids = arranged(jobs).map(each => each.call_id);
    expect(ids).toEqual(['c', 'd', 'b', 'a']);
  });
});

describe('how far a bar has come', () => {
  it.each([
    [{}, 0.3],
    [{ n: 12 }, 1],
    [{ n: -2 }, 0],
    [{ total: null }, null],
    [{ total: 0 }, null],
    [{ total: 0, state: 'done' as const }, 1],
    [{ total: null, state: 'done' as const }, 1]
  ])('is %j: %s', (rest, expected) => {
    expect(barShare(bar(rest))).toBe(expected);
  });
});

describe('how far a job has come', () => {
  it('is how far its outermost bar that runs and knows its total has', () => {
    const done = bar({ state: 'done', n: 10 });
    expect(share(bars(done, bar({ total: null }), bar({ n: 5 })))).toBe(0.5);
    expect(share(bars(done))).toBeNull();
    expect(share(undefined)).toBeNull();
  });

  it('is the mean where there are many, of those that can say', () => {
    const jobs = [job('a'), job('b'), job('c')];
    const known = new Map([
      ['a', bars(bar({ n: 2 }))],
      ['b', bars(bar({ n: 4 }))]
    ]);
    expect(meanShare(jobs, known)).toBeCloseTo(0.3);
    expect(meanShare(jobs, new Map())).toBeNull();
  });
});

describe('the words of a bar', () => {
  it.each([
    [{}, '30\u202f%'],
    [{ eta: 12.4 }, '30\u202f% · 0:12'],
    [{ n: 10, state: 'done' as const, eta: 0 }, '100\u202f%'],
    [{ total: null, n: 1234 }, '1234\u202fit'],
    [{ total: null, n: 1234, scaled: true, unit: 'B' }, '1.23kB']
  ])('are short: %j', (rest, expected) => {
    expect(barText(bar(rest))).toBe(expected);
  });

  it('are those of tqdm in full', () => {
    const full = bar({ rate: 1.2345, postfix: 'loss=0.1' });
    expect(barDetails(full)).toBe('3 / 10 it, 0:12, 1.23 it/s, loss=0.1');
    expect(barDetails(bar({ n: 12 }))).toBe('12 / 10 it, 0:12');
    expect(barDetails(bar({ total: null }))).toBe('3 it, 0:12');
  });
});

describe('where a job came from', () => {
  it('is a kernel and a cell, or nothing', () => {
    const known = job('a', { origin: 'kernel/cell' });
    expect(originOf(known)).toEqual({ kernelId: 'kernel', cellId: 'cell' });
    expect(originOf(job('a'))).toEqual({ kernelId: '', cellId: '' });
  });

  it('gives it its title', () => {
    const source = '%%remote gpu\n# first\n\n  model.fit(x)\nmore()';
    expect(titleOf(job('a'), source, 'a cell')).toBe('model.fit(x)');
    expect(titleOf(job('a'), '%%remote gpu', 'a cell')).toBe('a cell');
    expect(titleOf(job('a'), 'import a\nfrom b import c\nc(a)', '')).toBe(
      'c(a)'
    );
    expect(titleOf(job('a'), 'import a\nimport b', '')).toBe('import a');
    expect(titleOf(job('a'), undefined, 'a cell')).toBe('a cell');
    const train = job('a', { function: 'train' });
    expect(titleOf(train, undefined, 'a cell')).toBe('train');
  });
});
