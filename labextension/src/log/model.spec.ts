import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ILogPage, ILogPiece } from '../core/protocol';
import { LogModel, matches } from './model';

/** A log that a test writes, read by one model. */
class FakeLog {
  asked: [number, string][] = [];
  model = new LogModel((start, epoch) => {
    this.asked.push([start, epoch]);
    return new Promise((resolve, reject) => {
      this._answer = resolve;
      this._refuse = reject;
    });
  });

  async say(
    pieces: [ILogPiece['kind'], string][],
    rest: Partial<ILogPage> = {}
  ) {
    const [start] = this.asked[this.asked.length - 1];
    this._answer({
      epoch: 'one',
      start,
      pieces: pieces.map(([kind, text]) => ({ kind, text })),
      state: 'running',
      ...rest
    });
    await vi.advanceTimersByTimeAsync(0);
  }

  async fail() {
    this._refuse(new Error('gone'));
    await vi.advanceTimersByTimeAsync(0);
  }

  private _answer: (page: ILogPage) => void = () => undefined;
  private _refuse: (error: Error) => void = () => undefined;
}

describe('LogModel', () => {
  let log: FakeLog;

  beforeEach(() => {
    vi.useFakeTimers();
    log = new FakeLog();
    void log.model.run();
  });

  afterEach(() => {
    log.model.dispose();
    vi.useRealTimers();
  });

  const texts = () => log.model.lines.map(line => line.text);

  it('makes lines of pieces that end anywhere', async () => {
    await log.say([
      ['stdout', 'a\nb'],
      ['stdout', 'c\n\nd']
    ]);
    expect(texts()).toEqual(['a', 'bc', '', 'd']);
    await log.say([['stdout', '\n']]);
    await log.say([['stdout', 'e\n']]);
    expect(texts()).toEqual(['a', 'bc', '', 'd', 'e']);
    expect(log.model.text).toBe('a\nbc\n\nd\ne');
  });

  it('begins a line where the kind changes', async () => {
    await log.say([
      ['stdout', 'out'],
      ['error', 'ValueError: no']
    ]);
    expect(log.model.lines.map(line => line.kind)).toEqual(['stdout', 'error']);
  });

  it('shows what is behind the last return, as a terminal does', async () => {
    await log.say([['stdout', '10%\r20%\r\nnext\n']]);
    expect(texts()).toEqual(['20%', 'next']);
  });

  it('asks from where it stopped, until the log is over', async () => {
    await log.say([['stdout', 'a\n']]);
    await log.say([['stdout', 'b\n']], { state: 'failed' });
    expect(log.asked).toEqual([
      [0, ''],
      [1, 'one']
    ]);
    expect(log.model.state).toBe('failed');
  });

  it('begins anew where the numbers are those of another log', async () => {
    await log.say([['stdout', 'a\n']]);
    await log.say([['stdout', 'b\n']], { epoch: 'two', start: 0 });
    expect(texts()).toEqual(['b']);
    expect(log.asked[2]).toEqual([1, 'two']);
  });

  it('says that the server is away, and tries again', async () => {
    await log.say([['stdout', 'a\n']]);
    await log.fail();
    expect(log.model.state).toBe('unreachable');
    expect(texts()).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(log.asked).toHaveLength(3);
    await log.say([], { state: 'done' });
    expect(log.model.state).toBe('done');
  });

  it('asks no more once it is disposed', async () => {
    log.model.dispose();
    await log.say([['stdout', 'a\n']]);
    expect(texts()).toEqual([]);
    expect(log.asked).toHaveLength(1);
  });
});

describe('matches', () => {
  const lines = ['Epoch 1', 'loss 2', 'epoch 2'].map(text => ({
    kind: 'stdout' as const,
    text
  }));

  it('are the lines with the text, whatever the case', () => {
    expect(matches(lines, 'EPOCH')).toEqual([0, 2]);
    expect(matches(lines, '.')).toEqual([]);
    expect(matches(lines, '')).toEqual([]);
  });
});
