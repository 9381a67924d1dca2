/** The plugin that lists the jobs in JupyterLab's own panel of what is running. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';
import { IJob } from '../core/protocol';
import { IConnectionModel } from '../core/tokens';
import { IJobActions } from './actions';
import { remoteIcon } from '../ui/icons';
import { arranged } from './jobs';

export const running: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:running',
  description: 'The jobs of EasyRemote, among the kernels and terminals.',
  autoStart: true,
  requires: [IConnectionModel, IJobActions],
  optional: [IRunningSessionManagers, ITranslator],
  activate: (
    _: JupyterFrontEnd,
    model: IConnectionModel,
    actions: IJobActions,
    managers: IRunningSessionManagers | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('easyremote');
    const jobs = new JobList(model);
    managers?.add({
      name: trans.__('Remote Jobs'),
      running: () => jobs.value.map(job => item(job, actions)),
      shutdownAll: () => {
        for (const job of jobs.value) {
          void actions.cancel(job);
        }
      },
      refreshRunning: () => undefined, // the stream brings each change
      runningChanged: jobs.changed,
      shutdownLabel: trans.__('Cancel'),
      shutdownAllLabel: trans.__('Cancel All'),
      shutdownAllConfirmationText: trans.__(
        'Are you sure you want to cancel all jobs?'
      )
    });
  }
};

function item(job: IJob, actions: IJobActions): IRunningSessions.IRunningItem {
  return {
    open: () => {
      actions.showLog(job);
    },
    shutdown: () => {
      void actions.cancel(job);
    },
    icon: () => remoteIcon,
    label: () => actions.title(job),
    labelTitle: () => `${actions.title(job)}\n${job.node_id ?? ''}`,
    detail: () => job.node_id ?? ''
  };
}

/** The jobs that run or wait. It emits when a job comes or goes, not when time passes. */
class JobList {
  constructor(model: IConnectionModel) {
    model.stateChanged.connect(({ state }) => {
      const jobs = state.kind === 'snapshot' ? arranged(state.jobs) : [];
      const before = this.value.map(job => job.call_id).join();
      this.value = jobs;
      if (jobs.map(job => job.call_id).join() !== before) {
        this._changed.emit();
      }
    });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  value: IJob[] = [];
  private readonly _changed = new Signal<this, void>(this);
}
