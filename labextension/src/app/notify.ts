/** Notifies the user when a long job ends out of view. */

import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { stopwatch } from '../core/format';
import { IJobActions } from '../jobs/actions';
import { OptionsModel } from '../core/options';
import { IEndedJob } from '../core/protocol';
import { IConnectionModel } from '../core/tokens';
import { ACT_MS } from '../ui/notices';

export function notifyOfEnds(
  model: IConnectionModel,
  options: OptionsModel,
  actions: IJobActions,
  isPanelVisible: () => boolean,
  trans: TranslationBundle
): void {
  /** What was over before; null until the first snapshot. */
  let known: ReadonlySet<string> | null = null;
  model.stateChanged.connect(({ state }) => {
    if (state.kind !== 'snapshot') {
      return;
    }
    const { notifyAfter } = options.value;
    const before = known;
    known = new Set(state.ended.map(job => job.call_id));
    if (before === null || notifyAfter <= 0 || isPanelVisible()) {
      return;
    }
    for (const job of state.ended) {
      const isNew = !before.has(job.call_id) && job.seconds >= notifyAfter;
      if (isNew && !actions.cell(job)?.panel.isVisible) {
        tell(job, actions, trans);
      }
    }
  });
}

function tell(
  job: IEndedJob,
  actions: IJobActions,
  trans: TranslationBundle
): void {
  const [title, time] = [actions.title(job), stopwatch(job.seconds)];
  const show = {
    label: trans.__('Show'),
    callback: () => {
      void actions.goToCell(job);
    }
  };
  const how = job.origin === '' ? {} : { actions: [show] };
  if (job.code === '') {
    Notification.success(trans.__('%1 is done, after %2.', title, time), {
      autoClose: ACT_MS,
      ...how
    });
  } else if (job.code !== 'cancelled') {
    Notification.error(trans.__('%1 has failed, after %2.', title, time), {
      autoClose: false,
      ...how
    });
  }
}
