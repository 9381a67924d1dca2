/** Sessions and what is in them: asked for when somebody looks, and when a cell has ended. No DOM. */

import { DisposableDelegate, IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';
import {
  ISession,
  ISessionList,
  IVariable,
  IVariableList
} from '../core/protocol';
import { CallServer, messageOf } from '../core/request';
import { IConnectionModel } from '../core/tokens';
import { keyOf, signature } from './sessions';

/** Milliseconds by which news of a session may be older than it seems. */
const MARGIN_MS = 1000;

/** What is known of the variables of one session. */
export interface IContents {
  /** Null until they are known. */
  variables: readonly IVariable[] | null;
  /** Whether they can't be asked for, because something runs there. */
  isBusy: boolean;
  /** Why they are not known. */
  error: string;
  /** When they were asked for. */
  asked: number;
}

export interface ISessionsState {
  /** Null until they are known. */
  sessions: readonly ISession[] | null;
  silent: readonly string[];
  error: string;
  /** By session. */
  contents: ReadonlyMap<string, IContents>;
  /** Which sessions are open, and which are about to end. */
  expanded: ReadonlySet<string>;
  ending: ReadonlySet<string>;
}

const UNKNOWN: IContents = {
  variables: null,
  isBusy: false,
  error: '',
  asked: 0
};

export class SessionsModel implements IDisposable {
  constructor(
    connection: IConnectionModel,
    call: CallServer,
    /** The only node that is asked; null for all. */
    private readonly _nodeId: string | null = null
  ) {
    this._connection = connection;
    this._call = call;
    connection.stateChanged.connect(this._onState);
  }

  get state(): ISessionsState {
    return this._state;
  }

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Keep the state up to date until the lease is disposed. */
  look(): IDisposable {
    this._looks += 1;
    void this.refresh();
    return new DisposableDelegate(() => {
      this._looks -= 1;
    });
  }

  /** Show or hide the variables of a session. */
  expand(session: ISession, isExpanded: boolean): void {
    const expanded = new Set(this._state.expanded);
    if (isExpanded) {
      expanded.add(keyOf(session));
    } else {
      expanded.delete(keyOf(session));
    }
    this._update({ expanded });
    if (isExpanded) {
      void this._load(session);
    }
  }

  /** Delete a variable; throws a `Refusal`. */
  async remove(session: ISession, name: string): Promise<void> {
    const { node_id } = session;
    await this._call('sessions/delete', {
      node_id,
      session: session.session,
      name
    });
    await this._load(session);
  }

  /**
   * End a session, or restart it empty; false if it had ended already. Throws a
   * `Refusal`.
   */
  async replace(
    session: Pick<ISession, 'node_id' | 'session'>,
    how: 'restart' | 'end'
  ): Promise<boolean> {
    const key = keyOf(session);
    const { ending } = this._state;
    this._update({ ending: new Set([...ending, key]) });
    try {
      const { node_id } = session;
      const { done } = await this._call<{ done: boolean }>(`sessions/${how}`, {
        node_id,
        session: session.session
      });
      this._setContents(key, UNKNOWN);
      return done;
    } finally {
      await this.refresh();
      const left = [...this._state.ending].filter(each => each !== key);
      this._update({ ending: new Set(left) });
    }
  }

  /** Ask again; and once more if something changed before the answer came. */
  async refresh(): Promise<void> {
    this._isStale = true;
    this._asking ??= this._ask().finally(() => {
      this._asking = null;
    });
    await this._asking;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this._connection.stateChanged.disconnect(this._onState);
    Signal.clearData(this);
  }

  private async _ask(): Promise<void> {
    const query =
      this._nodeId === null ? '' : `?node=${encodeURIComponent(this._nodeId)}`;
    while (this._isStale && !this._isDisposed) {
      this._isStale = false;
      this._seen = signature(this._connection.state, this._nodeId);
      try {
        const told = await this._call<ISessionList>(`sessions${query}`);
        const heard = Date.now();
        const sessions = told.sessions.map(each => ({ ...each, heard }));
        this._update({ sessions, silent: told.silent, error: '' });
        sessions
          .filter(each => this._isToLoad(each))
          .forEach(each => {
            void this._load(each);
          });
      } catch (error) {
        this._update({ error: messageOf(error) });
      }
    }
  }

  /** Whether its variables are shown and may have changed since they were asked for. */
  private _isToLoad(session: ISession): boolean {
    const key = keyOf(session);
    const { asked, isBusy } = this._state.contents.get(key) ?? UNKNOWN;
    const used = (session.heard ?? 0) - 1000 * session.idle;
    return (
      this._state.expanded.has(key) &&
      (isBusy !== session.busy || used + MARGIN_MS > asked)
    );
  }

  private async _load(session: ISession): Promise<void> {
    const key = keyOf(session);
    const asked = Date.now();
    const known = this._state.contents.get(key) ?? UNKNOWN;
    this._setContents(key, { ...known, asked, isBusy: session.busy });
    if (session.busy) {
      return; // a cell runs there; when it ends, we ask
    }
    const query = new URLSearchParams({
      node: session.node_id,
      session: session.session
    });
    let next: IContents;
    try {
      const { busy, variables } = await this._call<IVariableList>(
        `sessions/variables?${query.toString()}`
      );
      next = busy
        ? { ...known, asked, isBusy: true, error: '' }
        : { variables, asked, isBusy: false, error: '' };
    } catch (error) {
      next = { ...UNKNOWN, asked, error: messageOf(error) };
    }
    // An older answer must not replace a newer one.
    if (this._state.contents.get(key)?.asked === asked) {
      this._setContents(key, next);
    }
  }

  private _setContents(key: string, contents: IContents): void {
    this._update({
      contents: new Map([...this._state.contents, [key, contents]])
    });
  }

  private _update(changes: Partial<ISessionsState>): void {
    if (!this._isDisposed) {
      this._state = { ...this._state, ...changes };
      this._stateChanged.emit();
    }
  }

  private readonly _onState = () => {
    const now = signature(this._connection.state, this._nodeId);
    if (this._looks > 0 && now !== '' && now !== this._seen) {
      void this.refresh();
    }
  };

  private readonly _connection: IConnectionModel;
  private readonly _call: CallServer;
  private readonly _stateChanged = new Signal<this, void>(this);
  private _state: ISessionsState = {
    sessions: null,
    silent: [],
    error: '',
    contents: new Map(),
    expanded: new Set(),
    ending: new Set()
  };
  private _looks = 0;
  private _seen = '';
  private _isStale = false;
  private _asking: Promise<void> | null = null;
  private _isDisposed = false;
}
