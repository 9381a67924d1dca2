/** A log that is read piece by piece, as lines: no DOM. */

import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';
import { ILogPage, ILogPiece } from '../core/protocol';

/** Milliseconds before each new try. */
const RETRY_MS = [1000, 2000, 4000, 8000];

export interface ILine {
  kind: ILogPiece['kind'];
  text: string;
}

/** Asks for the pieces from a number on, and waits if there are none yet. */
export type ReadLog = (start: number, epoch: string) => Promise<ILogPage>;

/** Reads a log to its end, or until it is disposed. */
export class LogModel implements IDisposable {
  constructor(read: ReadLog) {
    this._read = read;
  }

  get lines(): readonly ILine[] {
    return this._lines;
  }

  get state(): ILogPage['state'] | 'unreachable' {
    return this._state;
  }

  /** A number that changes with each change of the log. */
  get version(): number {
    return this._version;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  get text(): string {
    return this._lines.map(line => line.text).join('\n');
  }

  /** Read it to its end. */
  async run(): Promise<void> {
    let failures = 0;
    while (!this._isDisposed && !isOver(this._state)) {
      try {
        const page = await this._read(this._next, this._epoch);
        failures = 0;
        this._take(page);
      } catch {
        this._set('unreachable');
        const delay = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
        failures += 1;
        await new Promise(resolve => setTimeout(resolve, delay));
      }
    }
  }

  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private _take(page: ILogPage): void {
    if (this._isDisposed) {
      return;
    }
    if (page.epoch !== this._epoch) {
      this._epoch = page.epoch;
      this._lines = [];
      this._isOpen = false;
    }
    this._next = page.start + page.pieces.length;
    page.pieces.forEach(piece => {
      this._add(piece);
    });
    if (page.pieces.length > 0) {
      this._lines = [...this._lines];
    }
    this._set(page.state);
  }

  private _add({ kind, text }: ILogPiece): void {
    const lines = text.split('\n');
    const last = this._lines[this._lines.length - 1];
    if (this._isOpen && last.kind === kind) {
      const first = last.text + (lines.shift() ?? '');
      this._lines[this._lines.length - 1] = { kind, text: shown(first) };
    }
    this._lines.push(...lines.map(line => ({ kind, text: shown(line) })));
    this._isOpen = !text.endsWith('\n');
    if (!this._isOpen) {
      this._lines.pop(); // the text after the last line break is no whole line yet
    }
  }

  private _set(state: ILogPage['state'] | 'unreachable'): void {
    this._state = state;
    this._version += 1;
    this._changed.emit();
  }

  private readonly _read: ReadLog;
  private readonly _changed = new Signal<this, void>(this);
  private _lines: ILine[] = [];
  /** Whether the last line may go on. */
  private _isOpen = false;
  private _state: ILogPage['state'] | 'unreachable' = 'running';
  private _epoch = '';
  private _next = 0;
  private _version = 0;
  private _isDisposed = false;
}

/** The lines that contain a text, in capitals or not. */
export function matches(lines: readonly ILine[], query: string): number[] {
  const wanted = query.toLowerCase();
  return wanted === ''
    ? []
    : lines.flatMap(({ text }, index) =>
        text.toLowerCase().includes(wanted) ? [index] : []
      );
}

function isOver(state: LogModel['state']): boolean {
  return state === 'done' || state === 'failed' || state === 'lost';
}

/** A line as a terminal shows it: the text after the last carriage return. */
function shown(line: string): string {
  const whole = line.replace(/\r+$/, '');
  return whole.slice(whole.lastIndexOf('\r') + 1);
}
