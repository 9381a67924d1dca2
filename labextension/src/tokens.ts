/** What the plugins of this extension offer to each other, and to other extensions. */

import { Token } from '@lumino/coreutils';
import { IDisposable } from '@lumino/disposable';
import { ISignal } from '@lumino/signaling';
import { IDelta, Message } from './protocol';

/** The id of the widget, for the shell. */
export const PANEL_ID = 'easyremote-panel';

/** The newest message, or that the Jupyter server itself does not answer. */
export type State = Exclude<Message, IDelta> | { kind: 'disconnected' };

/** The state of the connection to the gateway, as the Jupyter server tells it. */
export interface IConnectionModel extends IDisposable {
  readonly state: State;
  readonly stateChanged: ISignal<IConnectionModel, void>;
  /** Keep the state up to date until the lease is disposed. */
  acquire(): IDisposable;
  /** Try again now. */
  retry(): void;
}

export const IConnectionModel = new Token<IConnectionModel>(
  'easyremote:IConnectionModel',
  'The state of the connection to the EasyRemote gateway: nodes and running calls.'
);
