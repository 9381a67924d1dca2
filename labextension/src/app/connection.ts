/** The plugin that owns the connection; all other plugins get its state from here. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ConnectionModel } from '../core/connection';
import { openStream, poll } from '../core/request';
import { IConnectionModel, IOptionsModel } from '../core/tokens';

export const connection: JupyterFrontEndPlugin<IConnectionModel> = {
  id: 'easyremote:connection',
  description: 'The state of the connection to the EasyRemote gateway.',
  autoStart: true,
  provides: IConnectionModel,
  requires: [IOptionsModel],
  activate: (app: JupyterFrontEnd, options: IOptionsModel) => {
    const { serverSettings } = app.serviceManager;
    const model = new ConnectionModel({
      websocket: (handlers, pace) => openStream(serverSettings, handlers, pace),
      polling: handlers => poll(serverSettings, handlers)
    });
    const keepPace = () => {
      model.pace = options.value.metricsInterval;
    };
    options.changed.connect(keepPace);
    keepPace();
    document.addEventListener('visibilitychange', () => {
      model.standby = document.hidden;
    });
    return model;
  }
};
