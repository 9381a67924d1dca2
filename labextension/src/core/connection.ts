/** The connection's state and its signal: no DOM, no widgets. */

import { DisposableDelegate, IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';
import { DEFAULTS } from './options';
import { merge, received } from './merge';
import { IBars, IDelta, Message } from './protocol';
import { Ended, IStream, OpenStream } from './request';
import { IConnectionModel, State, Transport } from './tokens';

/** Milliseconds before the first new try; each further one waits twice as long. */
const FIRST_DELAY_MS = 1000;
const MAX_DELAY_MS = 30_000;
/** A stream that breaks once comes back at once; nothing is shown for it. */
const QUIET_FAILURES = 1;

/**
 * Holds a stream open while somebody has a lease and the page is visible, and
 * opens a new one when it ends. If no stream gets through, it polls instead,
 * until the poll fails too or nobody looks any more.
 */
export class ConnectionModel implements IConnectionModel {
  constructor(
    /** How each transport is opened. */
    private readonly _open: Record<Transport, OpenStream>
  ) {}

  get state(): State {
    return this._state;
  }

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  get transport(): Transport {
    return this._transport;
  }

  get bars(): ReadonlyMap<string, IBars> {
    return this._bars;
  }

  get barsChanged(): ISignal<this, void> {
    return this._barsChanged;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Whether to pause, because nobody can see the page. */
  set standby(value: boolean) {
    this._standby = value;
    this._update();
  }

  get pace(): number {
    return this._pace;
  }

  set pace(seconds: number) {
    if (seconds === this._pace) {
      return;
    }
    this._pace = seconds;
    if (this._stream !== null) {
      this._connect(); // a stream keeps the pace that it began with
    }
  }

  acquire(): IDisposable {
    this._leases += 1;
    this._update();
    return new DisposableDelegate(() => {
      this._leases -= 1;
      this._update();
    });
  }

  retry(): void {
    if (this._timer === null) {
      this._stream?.send({ kind: 'retry' });
    } else {
      this._connect();
    }
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._update();
    Signal.clearData(this);
  }

  private _update(): void {
    const wanted = this._leases > 0 && !this._standby && !this._isDisposed;
    if (!wanted) {
      this._disconnect();
      this._transport = 'websocket';
    } else if (this._stream === null && this._timer === null) {
      this._connect();
    }
  }

  private _connect(): void {
    this._disconnect();
    const stream = this._open[this._transport](
      {
        onMessage: message => {
          if (stream === this._stream) {
            this._failures = 0;
            this._end = null;
            this._receive(message);
          }
        },
        onEnd: why => {
          if (stream === this._stream) {
            this._fail(why);
          }
        }
      },
      this._pace
    );
    this._stream = stream;
  }

  private _disconnect(): void {
    clearTimeout(this._timer ?? undefined);
    this._timer = null;
    this._stream?.close();
    this._stream = null;
  }

  private _receive(message: Message): void {
    // After a short break the old nodes stay until the new snapshot is here.
    if (message.kind === 'connecting' && this._state.kind === 'snapshot') {
      return;
    }
    if (message.kind === 'snapshot') {
      const old = this._state.kind === 'snapshot' ? this._state : null;
      this._setState(received(message, Date.now(), old));
    } else if (message.kind === 'delta') {
      this._merge(message);
    } else if (message.kind === 'progress') {
      this._setBars([...this._bars, ...Object.entries(message.jobs)]);
    } else {
      this._setState(message);
    }
  }

  private _merge(delta: IDelta): void {
    const next =
      this._state.kind === 'snapshot'
        ? merge(this._state, delta, Date.now())
        : null;
    if (next === null) {
      this._connect(); // a message was missed: a new stream begins with a whole snapshot
    } else {
      this._setState(next);
    }
  }

  private _fail(why: Ended): void {
    this._stream = null;
    // Only after two in a row: a server that is starting may answer the request but not the stream.
    const isBlocked = why === 'blocked' && this._end === 'blocked';
    this._end = why;
    this._transport = isBlocked ? 'polling' : 'websocket';
    if (isBlocked) {
      this._connect();
      return;
    }
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this._failures, MAX_DELAY_MS);
    this._failures += 1;
    this._timer = setTimeout(() => {
      this._connect();
    }, delay);
    if (why === 'not-installed') {
      this._setState({ kind: why });
    } else if (this._failures > QUIET_FAILURES) {
      this._setState({ kind: 'disconnected' });
    }
  }

  private _setState(state: State): void {
    this._state = state;
    this._stateChanged.emit();
    const jobs = state.kind === 'snapshot' ? state.jobs : [];
    const present = new Set(jobs.map(job => job.call_id));
    const left = [...this._bars].filter(([callId]) => present.has(callId));
    if (left.length < this._bars.size) {
      this._setBars(left);
    }
  }

  private _setBars(bars: [string, IBars][]): void {
    this._bars = new Map(bars);
    this._barsChanged.emit();
  }

  private readonly _stateChanged = new Signal<this, void>(this);
  private readonly _barsChanged = new Signal<this, void>(this);
  private _bars: ReadonlyMap<string, IBars> = new Map();
  private _state: State = { kind: 'connecting' };
  private _stream: IStream | null = null;
  private _timer: ReturnType<typeof setTimeout> | null = null;
  private _failures = 0;
  private _transport: Transport = 'websocket';
  /** How the newest stream ended, if it ended before its first message. */
  private _end: Ended | null = null;
  private _pace = DEFAULTS.metricsInterval;
  private _leases = 0;
  private _standby = false;
  private _isDisposed = false;
}
