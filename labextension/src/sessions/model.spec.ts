import { Signal } from '@lumino/signaling';
import { beforeEach, describe, expect, it } from 'vitest';
import { ISession, ISnapshot } from '../core/protocol';
import { sample, samples } from '../core/samples.testing';
import { IConnectionModel, State } from '../core/tokens';
import { SessionsModel } from './model';
import { keyOf } from './sessions';

const {
  sessions: [SESSION]
} = samples.sessions;
const KEY = keyOf(SESSION);

/** A connection whose state the test sets. */
class Connection {
  stateChanged = new Signal<this, void>(this);
  state: State = sample('snapshot') as ISnapshot;
  cells(...ids: string[]) {
    const snapshot = sample('snapshot') as ISnapshot;
    const ended = ids.map(call_id => ({ ...snapshot.ended[0], call_id }));
    this.state = { ...snapshot, ended };
    this.stateChanged.emit();
  }
}

/** A server that answers when the test lets it. */
class Server {
  asked: [string, object?][] = [];
  sessions: ISession[] = [SESSION];
  isBusy = false;
  fails = '';
  call = <T>(path: string, body?: object): Promise<T> => {
    this.asked.push(body === undefined ? [path] : [path, body]);
    if (this.fails !== '') {
      return Promise.reject(new Error(this.fails));
    }
    const variables = this.isBusy ? [] : samples.variables.variables;
    const answer = path.startsWith('sessions/variables')
      ? { busy: this.isBusy, variables }
      : body === undefined
        ? { sessions: this.sessions, silent: [] }
        : { done: true };
    return Promise.resolve(answer as T);
  };
  take(): string[] {
    const paths = this.asked.map(([path]) => path.replace(/\?.*/, ''));
    this.asked = [];
    return paths;
  }
}

async function settled(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve));
}

describe('the sessions', () => {
  let connection: Connection;
  let server: Server;
  let model: SessionsModel;

  beforeEach(() => {
    connection = new Connection();
    server = new Server();
    model = new SessionsModel(
      connection as unknown as IConnectionModel,
      server.call
    );
  });

  it('are asked for when somebody looks, and not before', async () => {
    connection.cells('a1');
    await settled();
    expect(server.take()).toEqual([]);
    model.look();
    await settled();
    expect(server.take()).toEqual(['sessions']);
    expect(model.state.sessions).toMatchObject([SESSION]);
  });

  it('are asked for again when a cell has ended, not when time goes on', async () => {
    const lease = model.look();
    await settled();
    server.take();
    connection.stateChanged.emit();
    await settled();
    expect(server.take()).toEqual([]);
    connection.cells('a1');
    connection.cells('a2');
    connection.cells('a3');
    await settled();
    expect(server.take()).toEqual(['sessions', 'sessions']); // none meanwhile
    lease.dispose();
    connection.cells('a4');
    await settled();
    expect(server.take()).toEqual([]);
  });

  it('have variables when they are open, new ones when they were used', async () => {
    model.look();
    await settled();
    model.expand(SESSION, true);
    await settled();
    expect(server.take()).toEqual(['sessions', 'sessions/variables']);
    expect(model.state.contents.get(KEY)?.variables).toHaveLength(2);
    connection.cells('elsewhere');
    await settled();
    expect(server.take()).toEqual(['sessions']);
    server.sessions = [{ ...SESSION, idle: 0 }];
    connection.cells('here');
    await settled();
    expect(server.take()).toEqual(['sessions', 'sessions/variables']);
    model.expand(SESSION, false);
    connection.cells('again');
    await settled();
    expect(server.take()).toEqual(['sessions']);
  });

  it('are not asked for variables while a cell runs, and keep the old ones', async () => {
    model.look();
    await settled();
    model.expand(SESSION, true);
    await settled();
    server.sessions = [{ ...SESSION, busy: true, idle: 0 }];
    connection.cells('a1');
    await settled();
    server.take();
    expect(model.state.contents.get(KEY)).toMatchObject({ isBusy: true });
    expect(model.state.contents.get(KEY)?.variables).toHaveLength(2);
    server.sessions = [{ ...SESSION, idle: 0 }];
    connection.cells('a1', 'a2');
    await settled();
    expect(server.take()).toEqual(['sessions', 'sessions/variables']);
    expect(model.state.contents.get(KEY)).toMatchObject({ isBusy: false });
  });

  it('say that they are busy where they began to be just now', async () => {
    server.isBusy = true;
    model.expand(SESSION, true);
    await settled();
    expect(model.state.contents.get(KEY)).toMatchObject({
      isBusy: true,
      variables: null
    });
  });

  it('lose a variable, and are ended or restarted', async () => {
    await model.remove(SESSION, 'x');
    const where = { node_id: 'gpu-node', session: '0123456789abcdef' };
    expect(server.asked[0]).toEqual([
      'sessions/delete',
      { ...where, name: 'x' }
    ]);
    expect(server.take()).toEqual(['sessions/delete', 'sessions/variables']);
    const ended = model.replace(SESSION, 'end');
    expect(model.state.ending).toEqual(new Set([KEY]));
    server.sessions = [];
    await ended;
    expect(model.state.ending.size).toBe(0);
    expect(model.state.sessions).toEqual([]);
    expect(server.take()).toEqual(['sessions/end', 'sessions']);
  });

  it('say why they are not known, and what was not done', async () => {
    server.fails = 'The gateway has gone.';
    model.look();
    await settled();
    expect(model.state.error).toBe('The gateway has gone.');
    model.expand(SESSION, true);
    await settled();
    expect(model.state.contents.get(KEY)?.error).toBe('The gateway has gone.');
    await expect(model.replace(SESSION, 'restart')).rejects.toThrow('gone');
    expect(model.state.ending.size).toBe(0);
  });

  it('are those of one node, where one is meant', async () => {
    const one = new SessionsModel(
      connection as unknown as IConnectionModel,
      server.call,
      'gpu node'
    );
    one.look();
    await settled();
    expect(server.asked).toEqual([['sessions?node=gpu%20node']]);
    one.dispose();
    one.dispose();
    connection.cells('a1');
    await settled();
    expect(server.asked).toHaveLength(1);
  });
});
