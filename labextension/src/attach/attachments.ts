/** The attachments of all open notebooks, made when they are first asked for. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { Token } from '@lumino/coreutils';
import { INotebookPanel } from '../notebook/notebook';
import { IOptionsModel } from '../core/tokens';
import { Attachment } from './attachment';

export interface IAttachments {
  of(panel: INotebookPanel): Attachment;
}

export const IAttachments = new Token<IAttachments>(
  'easyremote:IAttachments',
  'Which EasyRemote node each open notebook is attached to.'
);

export const attachments: JupyterFrontEndPlugin<IAttachments> = {
  id: 'easyremote:attachments',
  description: 'Which node each notebook is attached to.',
  autoStart: true,
  provides: IAttachments,
  requires: [IOptionsModel],
  activate: (_: JupyterFrontEnd, options: IOptionsModel) => {
    const known = new WeakMap<INotebookPanel, Attachment>();
    return {
      of: panel => {
        let attachment = known.get(panel);
        if (attachment === undefined) {
          const made = (attachment = new Attachment(
            panel.context,
            () => options.value.defaultNode
          ));
          known.set(panel, made);
          panel.disposed.connect(() => {
            made.dispose();
          });
        }
        return attachment;
      }
    };
  }
};
