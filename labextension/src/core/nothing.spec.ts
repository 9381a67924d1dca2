import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';
import { explain, Nothing, nothingToShow } from './nothing';
import { INode, IUnavailable } from './protocol';
import { State } from './tokens';

const trans = nullTranslator.load('easyremote');
const gateway = { address: 'my-vps:8080', version: '3.0.0' };

function unavailable(reason: IUnavailable['reason']): State {
  return { kind: 'unavailable', reason, message: 'Because.', retry_in: 4 };
}

function snapshot(nodes: INode[]): State {
  const numbers = { more: 0, seq: 0, sample: 0, after: 0, latency: null };
  const nothing = { jobs: [], ended: [], history: {}, server: '' };
  return { kind: 'snapshot', gateway, nodes, ...nothing, ...numbers };
}

const REASONS: [State, string][] = [
  [{ kind: 'connecting' }, 'Connecting…'],
  [{ kind: 'disconnected' }, 'The Jupyter server does not answer'],
  [{ kind: 'not-installed' }, 'This Jupyter server has no EasyRemote'],
  [snapshot([]), 'No nodes yet'],
  [unavailable('not-configured'), 'No gateway yet'],
  [unavailable('not-authorized'), 'The gateway refused the key'],
  [unavailable('unreachable'), 'The gateway does not answer'],
  [unavailable('version-mismatch'), 'The versions do not match'],
  [unavailable('failed'), 'Something went wrong']
];

describe('nothing to show', () => {
  it.each(REASONS)('has a text of its own: %o', (state, title) => {
    const nothing = nothingToShow(state) as Nothing;
    expect(explain(nothing, trans).title).toBe(title);
  });

  it('is not said where there are nodes', () => {
    const nodes = [{ node_id: 'one' }] as INode[];
    expect(nothingToShow(snapshot(nodes))).toBeNull();
  });

  it('names the command that starts a first node', () => {
    const { steps } = explain(
      { why: 'no-nodes', address: gateway.address },
      trans
    );
    expect(steps?.map(step => step.command)).toEqual(['easyremote node']);
    expect(steps?.[0].text).toContain(gateway.address);
  });

  it('hands on the words of the server, and when it tries again', () => {
    const nothing = nothingToShow(unavailable('unreachable')) as Nothing;
    expect(explain(nothing, trans)).toMatchObject({
      text: 'Because.',
      retryIn: 4
    });
  });
});
