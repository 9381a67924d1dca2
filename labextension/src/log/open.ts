/** Opens logs, one for each job, and opens them again when the page was loaded again. */

import { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { WidgetTracker } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandIDs } from '../core/commands';
import { ILogPage } from '../core/protocol';
import { ask } from '../core/request';
import { LogModel } from './model';
import { LogWidget } from './widget';

export type OpenLog = (callId: string, title: string) => void;

export function logOpener(
  app: JupyterFrontEnd,
  restorer: ILayoutRestorer | null,
  trans: TranslationBundle
): OpenLog {
  const tracker = new WidgetTracker<LogWidget>({ namespace: 'easyremote-log' });
  void restorer?.restore(tracker, {
    command: CommandIDs.jobLog,
    args: ({ callId, title }) => ({ callId, title: title.label }),
    name: ({ callId }) => callId
  });
  return (callId, title) => {
    let widget = tracker.find(each => each.callId === callId);
    if (widget === undefined) {
      const model = new LogModel((start, epoch) =>
        ask<ILogPage>(
          app.serviceManager.serverSettings,
          `jobs/${callId}/log?start=${start}&epoch=${epoch}`
        )
      );
      widget = new LogWidget(model, callId, title, trans);
      app.shell.add(widget, 'down');
      void tracker.add(widget);
    }
    app.shell.activateById(widget.id);
  };
}
