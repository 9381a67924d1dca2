import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionModel } from './connection';
import { ISnapshot, Message, Request } from './protocol';
import { IStreamHandlers } from './request';
import { exchange, sample } from './samples.testing';
import { State, Transport } from './tokens';

/** The other end of the streams that a model opens. */
class FakeServer {
  streams: {
    handlers: IStreamHandlers;
    pace: number;
    sent: Request[];
    closed: boolean;
    transport: Transport;
  }[] = [];

  open =
    (transport: Transport) => (handlers: IStreamHandlers, pace: number) => {
      const sent: Request[] = [];
      const stream = { handlers, pace, sent, closed: false, transport };
      this.streams.push(stream);
      return {
        send: (request: Request) => stream.sent.push(request),
        close: () => {
          stream.closed = true;
        }
      };
    };

  get newest() {
    return this.streams[this.streams.length - 1];
  }

  say(message: Message) {
    this.newest.handlers.onMessage(message);
  }
}

describe('ConnectionModel', () => {
  let server: FakeServer;
  let model: ConnectionModel;
  let states: State['kind'][];

  beforeEach(() => {
    vi.useFakeTimers();
    server = new FakeServer();
    model = new ConnectionModel({
      websocket: server.open('websocket'),
      polling: server.open('polling')
    });
    states = [];
    model.stateChanged.connect(({ state }) => states.push(state.kind));
  });

  afterEach(() => {
    model.dispose();
    vi.useRealTimers();
  });

  it('opens no stream before somebody wants one', () => {
    expect(server.streams).toHaveLength(0);
    expect(model.state).toEqual({ kind: 'connecting' });
  });

  it('opens a stream anew where another pace is wished for', () => {
    model.pace = 5;
    expect(server.streams).toHaveLength(0);
    const lease = model.acquire();
    expect(server.newest.pace).toBe(5);
    model.pace = 5;
    expect(server.streams).toHaveLength(1);
    model.pace = 10;
    expect(server.streams.map(({ closed }) => closed)).toEqual([true, false]);
    expect(server.newest.pace).toBe(10);
    lease.dispose();
    model.pace = 1;
    expect(server.streams).toHaveLength(2);
  });

  it('shares one stream among all leases and closes it after the last', () => {
    const one = model.acquire();
    const two = model.acquire();
    expect(server.streams).toHaveLength(1);
    one.dispose();
    one.dispose();
    expect(server.newest.closed).toBe(false);
    two.dispose();
    expect(server.newest.closed).toBe(true);
  });

  it('holds the newest message that the server sent', () => {
    model.acquire();
    server.say(sample('unavailable'));
    server.say(sample('snapshot'));
    expect(states).toEqual(['unavailable', 'snapshot']);
    expect(model.state).toMatchObject(sample('snapshot'));
  });

  it('keeps the old nodes while the server connects again', () => {
    model.acquire();
    server.say(sample('snapshot'));
    server.say(sample('connecting'));
    expect(states).toEqual(['snapshot']);
  });

  it('follows what changes', () => {
    model.acquire();
    exchange().forEach(message => {
      server.say(message);
    });
    expect(model.state).toMatchObject({ kind: 'snapshot', seq: 3, sample: 5 });
    expect(server.streams).toHaveLength(1);
  });

  it('keeps the bars of the jobs that run, and of no others', () => {
    let count = 0;
    model.barsChanged.connect(() => (count += 1));
    model.acquire();
    server.say(sample('snapshot'));
    server.say(sample('progress'));
    expect(model.bars.get('a1')?.bars[0]).toMatchObject({ n: 3, total: 10 });
    expect(states).toEqual(['snapshot']);
    const next = { kind: 'delta' as const, seq: 1, sample: 1 };
    server.say(next);
    expect(model.bars.size).toBe(1);
    server.say({ ...next, seq: 2, over: ['a1'] });
    expect(model.bars.size).toBe(0);
    expect(count).toBe(2);
  });

  it('begins anew where it has missed a message', () => {
    model.acquire();
    const [snapshot, , second] = exchange();
    server.say(snapshot);
    server.say(second);
    expect(server.streams).toHaveLength(2);
    expect(server.streams[0].closed).toBe(true);
    expect(model.state).toMatchObject({ kind: 'snapshot', seq: 0 });
  });

  it('begins anew where changes come before anything was there', () => {
    model.acquire();
    server.say(exchange()[1]);
    expect(server.streams).toHaveLength(2);
  });

  it('hides one lost stream, and tells of the second', () => {
    model.acquire();
    server.say(sample('snapshot'));
    server.newest.handlers.onEnd('disconnected');
    expect(model.state.kind).toBe('snapshot');
    vi.advanceTimersByTime(1000);
    expect(server.streams).toHaveLength(2);
    server.newest.handlers.onEnd('disconnected');
    expect(model.state.kind).toBe('disconnected');
  });

  it('tells at once that the server extension is not there, and looks again', () => {
    model.acquire();
    server.newest.handlers.onEnd('not-installed');
    expect(model.state.kind).toBe('not-installed');
    vi.advanceTimersByTime(1000);
    server.say(sample('snapshot'));
    expect(states).toEqual(['not-installed', 'snapshot']);
  });

  it('polls where no stream comes through twice, until that ends', () => {
    model.acquire();
    server.newest.handlers.onEnd('blocked');
    expect(server.streams).toHaveLength(1);
    vi.advanceTimersByTime(1000);
    expect(model.transport).toBe('websocket');
    server.newest.handlers.onEnd('blocked');
    expect(server.newest.transport).toBe('polling');
    server.say(sample('snapshot'));
    expect(model.transport).toBe('polling');
    expect(states).toEqual(['snapshot']);
    server.newest.handlers.onEnd('disconnected');
    vi.advanceTimersByTime(1000);
    expect(server.newest.transport).toBe('websocket');
  });

  it('does not poll after a stream that worked between', () => {
    model.acquire();
    server.newest.handlers.onEnd('blocked');
    vi.advanceTimersByTime(1000);
    server.say(sample('snapshot'));
    server.newest.handlers.onEnd('blocked');
    vi.advanceTimersByTime(1000);
    expect(server.newest.transport).toBe('websocket');
  });

  it('tries a stream again when somebody looks again', () => {
    model.acquire();
    server.newest.handlers.onEnd('blocked');
    vi.advanceTimersByTime(1000);
    server.newest.handlers.onEnd('blocked');
    model.standby = true;
    model.standby = false;
    expect(server.newest.transport).toBe('websocket');
  });

  it('adds what it polls to the history that it has', () => {
    model.acquire();
    const first = exchange()[0] as ISnapshot;
    const next = { ...first, sample: 3, after: 2 };
    server.say({ ...first, sample: 2, history: { a: [[1, 2]] } });
    server.say({ ...next, history: { a: [[3]], b: [[7]] } });
    expect(model.state).toMatchObject({
      history: { a: [[1, 2, 3]], b: [[7]] }
    });
    server.say({ ...next, sample: 9, after: 5, history: { a: [[8]] } });
    expect(model.state).toMatchObject({ history: { a: [[8]] } });
  });

  it('waits longer after each failure, and half a minute at most', () => {
    model.acquire();
    const delays = [1, 2, 4, 8, 16, 30, 30];
    for (const [index, seconds] of delays.entries()) {
      server.newest.handlers.onEnd('disconnected');
      vi.advanceTimersByTime(seconds * 1000 - 1);
      expect(server.streams).toHaveLength(index + 1);
      vi.advanceTimersByTime(1);
      expect(server.streams).toHaveLength(index + 2);
    }
  });

  it('starts with short waits again once a message came', () => {
    model.acquire();
    server.newest.handlers.onEnd('disconnected');
    vi.advanceTimersByTime(1000);
    server.say(sample('snapshot'));
    server.newest.handlers.onEnd('disconnected');
    vi.advanceTimersByTime(1000);
    expect(server.streams).toHaveLength(3);
  });

  it('closes the stream while nobody can see the page', () => {
    model.acquire();
    model.standby = true;
    expect(server.newest.closed).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(server.streams).toHaveLength(1);
    model.standby = false;
    expect(server.streams).toHaveLength(2);
  });

  it('drops what comes late from a stream that it has left', () => {
    model.acquire();
    const [old] = server.streams;
    model.standby = true;
    model.standby = false;
    old.handlers.onMessage(sample('snapshot'));
    old.handlers.onEnd('disconnected');
    expect(model.state.kind).toBe('connecting');
    vi.advanceTimersByTime(60_000);
    expect(server.streams).toHaveLength(2);
  });

  it('asks the server to try now', () => {
    model.acquire();
    model.retry();
    expect(server.newest.sent).toEqual([sample('retry')]);
  });

  it('tries at once itself where the stream is lost', () => {
    model.acquire();
    server.newest.handlers.onEnd('disconnected');
    model.retry();
    expect(server.streams).toHaveLength(2);
    vi.advanceTimersByTime(60_000);
    expect(server.streams).toHaveLength(2);
  });

  it('is silent once disposed, and may be disposed twice', () => {
    model.acquire();
    const { handlers } = server.newest;
    model.dispose();
    model.dispose();
    handlers.onMessage(sample('snapshot'));
    expect(server.newest.closed).toBe(true);
    expect(states).toEqual([]);
  });
});
