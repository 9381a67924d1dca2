/** The plugin of the jobs: their actions as commands, their logs, their bars in the notebooks. */

import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { logOpener } from '../log/open';
import { IConnectionModel } from '../core/tokens';
import { IJobActions, JobActions } from './actions';
import { CellBars } from './cellBars';
import { addJobCommands } from './commands';

export const jobs: JupyterFrontEndPlugin<IJobActions> = {
  id: 'easyremote:jobs',
  description: 'The jobs of EasyRemote.',
  autoStart: true,
  provides: IJobActions,
  requires: [IConnectionModel],
  optional: [ITranslator, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    model: IConnectionModel,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ) => {
    const trans = (translator ?? nullTranslator).load('easyremote');
    const actions = new JobActions(app, trans);
    const cellBars = new CellBars(app.shell, trans);
    const openLog = logOpener(app, restorer, trans);
    model.stateChanged.connect(({ state }) => {
      const running = state.kind === 'snapshot' ? state.jobs : [];
      actions.settle(new Set(running.map(job => job.call_id)));
    });
    model.barsChanged.connect(() => {
      cellBars.update(model);
    });
    addJobCommands(app, model, actions, openLog, palette, trans);
    return actions;
  }
};
