/** The state of the connection, in one line that a screen reader announces. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { milliseconds } from '../core/format';
import { IGateway } from '../core/protocol';
import { State, Transport } from '../core/tokens';
import { Shape, StateShape } from '../ui/shape';
import { ISectionProps, useConnection } from '../ui/state';
import { VERSION } from '../core/version';

export function Footer({ model, trans }: ISectionProps): React.ReactElement {
  const state = useConnection(model);
  const { shape, text, detail } = summary(state, model.transport, trans);
  return (
    <>
      <StateShape shape={shape} />
      <span role="status">{text}</span>
      {detail && (
        <span className="jp-EasyRemote-aside" title={detail}>
          {detail}
        </span>
      )}
      {state.kind === 'snapshot' && model.transport === 'polling' && (
        <p role="status">
          {trans.__(
            'No WebSocket gets through to the Jupyter server, perhaps because of a proxy. The panel asks every few seconds instead.'
          )}
        </p>
      )}
      {state.kind === 'snapshot' && state.server !== VERSION && (
        <p role="status">
          {trans.__(
            'This page has EasyRemote %1, its Jupyter server %2. Reload the page; if that changes nothing, restart the Jupyter server.',
            VERSION,
            state.server || trans.__('another')
          )}
        </p>
      )}
    </>
  );
}

function summary(
  state: State,
  transport: Transport,
  trans: TranslationBundle
): { shape: Shape; text: string; detail?: string } {
  switch (state.kind) {
    case 'connecting':
      return { shape: 'waiting', text: trans.__('Connecting…') };
    case 'disconnected':
      return { shape: 'off', text: trans.__('Jupyter server lost') };
    case 'not-installed':
      return { shape: 'off', text: trans.__('Not installed') };
    case 'snapshot':
      return {
        shape: 'well',
        text: trans.__('Connected'),
        detail: [
          place(state.gateway),
          ...(state.latency === null ? [] : [milliseconds(state.latency)]),
          transport === 'polling' ? trans.__('polling') : 'WebSocket'
        ].join(' · ')
      };
    case 'unavailable':
      return { shape: 'off', text: unavailable(state.reason, trans) };
  }
}

/** Where the gateway is, and its version where that isn't the one here. */
function place({ address, version }: IGateway): string {
  return version === VERSION ? address : `${address} · EasyRemote ${version}`;
}

function unavailable(
  reason: (State & { kind: 'unavailable' })['reason'],
  trans: TranslationBundle
): string {
  switch (reason) {
    case 'not-configured':
      return trans.__('Not configured');
    case 'not-authorized':
      return trans.__('Not authorised');
    case 'unreachable':
      return trans.__('Gateway unreachable');
    case 'version-mismatch':
      return trans.__('Versions do not match');
    case 'failed':
      return trans.__('Not connected');
  }
}
