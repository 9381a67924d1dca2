/** The plugin that puts the node browser into the left area. */

import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { IAttachments } from './attach/attachments';
import { NodeActions } from './actions';
import { FunctionActions } from './functions/actions';
import { notifyOfEnds } from './notify';
import { OptionsModel } from './options';
import { caller } from './request';
import { SessionActions } from './sessions/actions';
import { SessionsModel } from './sessions/model';
import { SetupModel } from './setup/model';
import { EasyRemotePanel } from './sidebar';
import { IConnectionModel, IJobActions } from './tokens';

/** 501 to 899 is the range for third parties. */
const RANK = 600;
const ID = 'easyremote:panel';

export const panel: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'The EasyRemote node browser.',
  autoStart: true,
  requires: [IConnectionModel, IAttachments, IJobActions],
  optional: [ILayoutRestorer, ITranslator, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    model: IConnectionModel,
    attachments: IAttachments,
    jobActions: IJobActions,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null,
    registry: ISettingRegistry | null
  ) => {
    const trans = (translator ?? nullTranslator).load('easyremote');
    const options = new OptionsModel();
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
    void registry?.load(ID).then(settings => {
      options.bind(settings);
    });
  }
};
