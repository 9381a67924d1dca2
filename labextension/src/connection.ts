/** The plugin that owns the stream; every other plugin asks it. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ConnectionModel } from './model';
import { openStream } from './request';
import { IConnectionModel } from './tokens';

export const connection: JupyterFrontEndPlugin<IConnectionModel> = {
  id: 'easyremote:connection',
  description: 'The state of the connection to the EasyRemote gateway.',
  autoStart: true,
  provides: IConnectionModel,
  activate: (app: JupyterFrontEnd) => {
    const { serverSettings } = app.serviceManager;
    const model = new ConnectionModel(handlers =>
      openStream(serverSettings, handlers)
    );
    document.addEventListener('visibilitychange', () => {
      model.standby = document.hidden;
    });
    return model;
  }
};
