/** Pause, drain and resume: one click each, for the owner of a node. */

import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { INode } from '../core/protocol';
import { CallServer, messageOf } from '../core/request';

/** The buttons, and why nothing new starts there now. */
export function Lending({
  node,
  call,
  trans
}: {
  node: INode;
  call: CallServer;
  trans: TranslationBundle;
}): React.ReactElement {
  const buttons =
    node.lent === 'yes'
      ? [
          {
            how: 'pause',
            label: trans.__('Pause'),
            title: trans.__('Nothing new starts here, and calls wait.')
          },
          {
            how: 'drain',
            label: trans.__('Drain'),
            title: trans.__('Nothing new starts here, and calls go elsewhere.')
          }
        ]
      : [
          {
            how: 'resume',
            label: trans.__('Resume'),
            title: trans.__('Lend this node again.')
          }
        ];
  return (
    <div className="jp-EasyRemote-jobButtons">
      {buttons.map(({ how, label, title }) => (
        <button
          key={how}
          title={title}
          onClick={() => void lend(call, node.node_id, how)}
        >
          {label}
        </button>
      ))}
    </div>
  );
}

/** Ask the gateway for it; only the node's owner may, and others are told so. */
async function lend(
  call: CallServer,
  node_id: string,
  how: string
): Promise<void> {
  try {
    await call('nodes/lend', { node_id, how });
  } catch (error) {
    Notification.error(messageOf(error), { autoClose: false });
  }
}
