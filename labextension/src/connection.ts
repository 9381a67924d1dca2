/** The plugin that owns the stream; every other plugin asks it. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ConnectionModel } from './model';
import { openStream, OpenStream, poll } from './request';
import { IConnectionModel, IOptionsModel } from './tokens';

export const connection: JupyterFrontEndPlugin<IConnectionModel> = {
  id: 'easyremote:connection',
  description: 'The state of the connection to the EasyRemote gateway.',
  autoStart: true,
  provides: IConnectionModel,
  requires: [IOptionsModel],
  activate: (app: JupyterFrontEnd, options: IOptionsModel) => {
    const { serverSettings } = app.serviceManager;
    const to =
      (open: typeof poll): OpenStream =>
      (handlers, pace) =>
        open(serverSettings, handlers, pace);
    const model = new ConnectionModel({
      websocket: to(openStream),
      polling: to(poll)
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
