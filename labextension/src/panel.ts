/** The plugin that puts the node browser into the left area. */

import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { EasyRemotePanel } from './sidebar';
import { IConnectionModel } from './tokens';

/** 501 to 899 is the range for third parties. */
const RANK = 600;

export const panel: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:panel',
  description: 'The EasyRemote node browser.',
  autoStart: true,
  requires: [IConnectionModel],
  optional: [ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: IConnectionModel,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const widget = new EasyRemotePanel(model, translator ?? nullTranslator);
    restorer?.add(widget, widget.id);
    app.shell.add(widget, 'left', { rank: RANK });
  }
};
