/** Says what to do if a node is attached and the kernel has not loaded the magics. */

import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { LOADER } from '../notebook/cell';
import { insertLoader, INotebookPanel } from '../notebook/notebook';
import { ACT_MS } from '../ui/notices';
import { Attachment } from './attachment';

export async function tellWhereNotLoaded(
  attachment: Attachment,
  panel: INotebookPanel,
  commands: CommandRegistry,
  trans: TranslationBundle
): Promise<void> {
  if ((await attachment.whenKnown()) !== false) {
    return;
  }
  const text = trans.__(
    'It will be attached when this notebook runs %1. If the kernel has no EasyRemote: %2.',
    LOADER,
    '%pip install easyremote'
  );
  const insert = {
    label: trans.__('Insert and Run'),
    callback: () => {
      insertLoader(panel, 0, commands);
    }
  };
  Notification.warning(text, { autoClose: ACT_MS, actions: [insert] });
}
