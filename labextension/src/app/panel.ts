/** The plugin that puts the node browser into the left area. */

import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { IAttachments } from '../attach/attachments';
import { NodeActions } from '../nodes/actions';
import { FunctionActions } from '../functions/actions';
import { notifyOfEnds } from './notify';
import { caller } from '../core/request';
import { SessionActions } from '../sessions/actions';
import { SessionsModel } from '../sessions/model';
import { SetupModel } from '../setup/model';
import { EasyRemotePanel } from './sidebar';
import { IConnectionModel, IOptionsModel } from '../core/tokens';
import { IJobActions } from '../jobs/actions';

/** 501 to 899 is the range for third parties. */
const RANK = 600;

export const panel: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:panel',
  description: 'The EasyRemote node browser.',
  autoStart: true,
  requires: [IConnectionModel, IAttachments, IJobActions, IOptionsModel],
  optional: [ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: IConnectionModel,
    attachments: IAttachments,
    jobActions: IJobActions,
    options: IOptionsModel,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('easyremote');
    const actions = new NodeActions(app, attachments, trans);
    const call = caller(app.serviceManager.serverSettings);
    const setup = new SetupModel(call);
    const widget = new EasyRemotePanel(
      {
        model,
        options,
        actions,
        functionActions: new FunctionActions(app, trans),
        jobActions,
        sessions: new SessionsModel(model, call),
        sessionActions: new SessionActions(app, attachments, trans),
        setup,
        trans
      },
      translator ?? nullTranslator
    );
    notifyOfEnds(model, options, jobActions, () => widget.isVisible, trans);
    restorer?.add(widget, widget.id);
    app.shell.add(widget, 'left', { rank: RANK });
  }
};
