import { describe, expect, it } from 'vitest';
import { ISnapshot } from '../core/protocol';
import { sample, samples } from '../core/samples.testing';
import {
  askedOf,
  givenName,
  isName,
  keyOf,
  pullCell,
  signature,
  typeText
} from './sessions';

const {
  sessions: [SESSION]
} = samples.sessions;
const [ARRAY, TEXT] = samples.variables.variables;

describe('a session', () => {
  it('has the name that somebody gave it, or that of its kernel', () => {
    expect(givenName(SESSION)).toBeNull();
    expect(givenName({ ...SESSION, session: 'train' })).toBe('train');
    expect(keyOf(SESSION)).toBe('gpu-node/0123456789abcdef');
  });

  it('is named to the magics where it is not the notebook’s own', () => {
    expect(pullCell(SESSION, 'x', SESSION.session)).toBe(
      '%remote_get gpu-node x'
    );
    expect(pullCell(SESSION, 'x', null)).toBe(
      '%remote_get gpu-node/0123456789abcdef x'
    );
  });

  it('is one word to the magics, whatever its name', () => {
    expect(pullCell({ ...SESSION, session: "Ann's work" }, 'x', null)).toBe(
      `%remote_get 'gpu-node/Ann'"'"'s work' x`
    );
  });
});

describe('an idle session whose GPU memory somebody waits for', () => {
  const snapshot = sample('snapshot') as ISnapshot;

  it('is asked about on its own node', () => {
    const [node] = snapshot.nodes;
    const asked = { s1: 'key lab-2 waits for 24 GB. Release it?' };
    const nodes = [
      { ...node, asked },
      { ...node, node_id: 'attic' }
    ];
    expect([...askedOf({ ...snapshot, nodes })]).toEqual([
      ['gpu-node/s1', asked.s1]
    ]);
    expect(askedOf({ kind: 'connecting' }).size).toBe(0);
  });
});

describe('a variable', () => {
  it('is told with the shape of an array', () => {
    expect(typeText(ARRAY)).toBe('ndarray (2, 3)');
    expect(typeText(TEXT)).toBe('str');
  });

  it.each([
    ['größe_1', true],
    ['变量', true],
    ['1st', false],
    ['a b', false]
  ])('%s can be named to the magics: %s', (name, expected) => {
    expect(isName({ ...TEXT, name })).toBe(expected);
  });
});

describe('what may change a session', () => {
  const snapshot = sample('snapshot') as ISnapshot;
  const of = (changes: Partial<ISnapshot>, node: string | null = null) =>
    signature({ ...snapshot, ...changes }, node);
  const job = { ...snapshot.jobs[0], call_id: 'b1', function: 'cell' };

  it('is a cell that begins, or ends', () => {
    const running = of({ jobs: [job] });
    expect(running).not.toBe(of({}));
    expect(of({ jobs: [{ ...job, seconds: 99 }] })).toBe(running);
    expect(of({ jobs: [], ended: [] })).not.toBe(running);
  });

  it('is a node that goes, and no registered function', () => {
    expect(of({ nodes: [] })).not.toBe(of({}));
    expect(of({ jobs: [] })).toBe(of({}));
  });

  it('is elsewhere where one node is meant', () => {
    const elsewhere = { ...job, node_id: 'attic' };
    expect(of({ jobs: [elsewhere] }, 'gpu-node')).toBe(of({}, 'gpu-node'));
    expect(of({ jobs: [elsewhere] }, 'attic')).not.toBe(of({}, 'attic'));
  });

  it('is nothing while there is no connection', () => {
    expect(signature({ kind: 'connecting' }, null)).toBe('');
  });
});
