import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';
import { IFunction } from '../functions/functions';
import { ISnapshot } from '../core/protocol';
import { sample } from '../core/samples.testing';
import { activity } from '../nodes/texts';
import { limits, policy, users } from './policy';

const trans = nullTranslator.load('easyremote');
const SNAPSHOT = sample('snapshot') as ISnapshot;
const [NODE] = SNAPSHOT.nodes;

describe('what an owner allows', () => {
  it('is told in sentences', () => {
    const said = policy(NODE, trans).join(' ');
    expect(said).toContain('Cells and shipped functions of every client key');
    expect(said).toContain('8 calls of its functions run at a time');
    expect(said).toContain('4 shipped functions of a key run at a time');
    expect(said).toContain('for themselves with %%remote --with');
    expect(said).toContain('is idle for 1\u202fd ends');
    expect(said).toContain(
      "It has fit(), but does not offer it: no label 'a100'."
    );
  });

  it('begins with why nothing new starts', () => {
    const node = { ...NODE, closed: 'its owner has paused it' };
    expect(policy(node, trans)[0]).toBe(
      'Nothing new starts here now: its owner has paused it.'
    );
    expect(activity(node, trans)).toBe('closed: its owner has paused it');
  });

  it('can be little', () => {
    const closed = { ...NODE, runs_code: false, slots: 1, withheld: {} };
    expect(policy(closed, trans)).toEqual([
      'Only registered functions run here: no cells and no shipped code.',
      '1 call of its functions runs at a time; more wait for their turn.'
    ]);
    const strict = policy({ ...NODE, installs: false }, trans).join(' ');
    expect(strict).toContain('the owner of the node does not allow it');
  });

  it('is not told where the node did not tell it', () => {
    const older = { ...NODE, processes: null, session_idle: null };
    expect(policy(older, trans)).toHaveLength(4);
  });
});

describe('who uses a node', () => {
  const at = (running: number, jobs = SNAPSHOT.jobs) =>
    users({ ...NODE, running }, { ...SNAPSHOT, jobs }, trans);

  it('is this key, and how many jobs of others', () => {
    expect(at(1)).toBe('1 job of this key');
    expect(at(3)).toBe('1 job of this key, 2 jobs of other keys');
    expect(at(1, [])).toBe('1 job of another key');
    expect(at(0, [])).toBe('Nobody at the moment.');
  });

  it('is nobody who only waits', () => {
    const [job] = SNAPSHOT.jobs;
    expect(at(0, [{ ...job, state: 'queued' }])).toBe('Nobody at the moment.');
    expect(at(0, [{ ...job, node_id: 'attic' }])).toBe('Nobody at the moment.');
  });
});

describe('the limits of a function', () => {
  it('are those that it has', () => {
    const fn: IFunction = {
      node_id: 'n',
      name: 'f',
      signature: '()',
      doc: '',
      streams: false,
      timeout: 0,
      max_concurrency: 0,
      public: false,
      needs: '',
      parameters: null
    };
    expect(limits(fn, trans)).toBe('');
    const strict = {
      timeout: 90,
      max_concurrency: 2,
      public: true,
      needs: '16 GB of GPU memory'
    };
    expect(limits({ ...fn, ...strict, streams: true }, trans)).toBe(
      'needs 16 GB of GPU memory, 2 at a time, for 1\u202fmin at most, item by item, also over HTTP'
    );
  });
});
