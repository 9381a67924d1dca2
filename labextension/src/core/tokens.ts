/** What the plugins of this extension offer to each other, and to other extensions. */

import { Token } from '@lumino/coreutils';
import { IDisposable } from '@lumino/disposable';
import { ISignal } from '@lumino/signaling';
import { OptionsModel } from './options';
import { IBars, IDelta, IProgress, Message } from './protocol';
import { Ended } from './request';

/** The newest message, or the reason why the Jupyter server sends none. */
export type State =
  Exclude<Message, IDelta | IProgress> | { kind: Exclude<Ended, 'blocked'> };

/** How the state comes from the Jupyter server. */
export type Transport = 'websocket' | 'polling';

/** The state of the connection to the gateway, as the Jupyter server tells it. */
export interface IConnectionModel extends IDisposable {
  readonly state: State;
  readonly stateChanged: ISignal<IConnectionModel, void>;
  readonly transport: Transport;
  /** The bars of the jobs that run, by call id; another map after each change. */
  readonly bars: ReadonlyMap<string, IBars>;
  readonly barsChanged: ISignal<IConnectionModel, void>;
  /** Seconds between two states of the load of nodes, as the user wishes. */
  pace: number;
  /** Keep the state up to date until the lease is disposed. */
  acquire(): IDisposable;
  /** Try again now. */
  retry(): void;
}

export const IConnectionModel = new Token<IConnectionModel>(
  'easyremote:IConnectionModel',
  'The state of the connection to the EasyRemote gateway: nodes and running calls.'
);

export type IOptionsModel = OptionsModel;

export const IOptionsModel = new Token<IOptionsModel>(
  'easyremote:IOptionsModel',
  'The settings of EasyRemote.'
);
