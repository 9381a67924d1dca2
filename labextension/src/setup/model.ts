/** Starting or choosing a gateway: what is possible, what is under way, what failed. No DOM. */

import { ISignal, Signal } from '@lumino/signaling';
import { ISetup } from '../core/protocol';
import { CallServer, Refusal } from '../core/request';

/** A field of the form, or the button that starts one here. */
export type Place = 'address' | 'key' | 'start';

export interface ISetupState {
  /** Null until it is known. */
  offer: ISetup | null;
  busy: 'starting' | 'connecting' | null;
  /** What is wrong with which field, or null. */
  error: { place: Place; message: string } | null;
}

const NOTHING: ISetup = { start: '', connect: false };

export class SetupModel {
  constructor(call: CallServer) {
    this._call = call;
  }

  get state(): ISetupState {
    return this._state;
  }

  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  /** Ask what can be done now; other parts show it if the server does not answer. */
  async load(): Promise<void> {
    const offer = await this._call<ISetup>('setup').catch(() => NOTHING);
    this._update({ offer });
  }

  /** Start what is missing on the Jupyter server's machine. */
  async start(): Promise<void> {
    await this._run('starting', 'setup/start', {});
  }

  /** Whether it connected; the key is not kept here. */
  async connect(address: string, key: string): Promise<boolean> {
    return this._run('connecting', 'setup/connect', { address, key });
  }

  private async _run(
    busy: 'starting' | 'connecting',
    path: string,
    body: object
  ): Promise<boolean> {
    this._update({ busy, error: null });
    try {
      await this._call(path, body);
      this._update({ busy: null });
      return true;
    } catch (error) {
      const { message, reason } = error as Partial<Refusal>;
      const place =
        busy === 'starting' ? 'start' : reason === 'key' ? 'key' : 'address';
      this._update({
        busy: null,
        error: { place, message: message ?? String(error) }
      });
      return false;
    }
  }

  private _update(changes: Partial<ISetupState>): void {
    this._state = { ...this._state, ...changes };
    this._stateChanged.emit();
  }

  private readonly _call: CallServer;
  private readonly _stateChanged = new Signal<this, void>(this);
  private _state: ISetupState = { offer: null, busy: null, error: null };
}
