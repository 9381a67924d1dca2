/** Tells of the end of long calls while nobody looks at the panel. */

import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { stopwatch } from './format';
import { elapsed } from './merge';
import { OptionsModel } from './options';
import { IJob } from './protocol';
import { ended } from './running/jobs';
import { IConnectionModel } from './tokens';

export function notifyOfEnds(
  model: IConnectionModel,
  options: OptionsModel,
  isLooking: () => boolean,
  trans: TranslationBundle
): void {
  let before: IJob[] = [];
  model.stateChanged.connect(({ state }) => {
    if (state.kind !== 'snapshot') {
      before = []; // what ends meanwhile, nobody saw
      return;
    }
    const { notifyAfter } = options.value;
    if (notifyAfter > 0 && !isLooking()) {
      for (const job of ended(before, state.jobs, notifyAfter, Date.now())) {
        const time = stopwatch(elapsed(job.seconds, job.heard));
        Notification.info(
          trans.__('%1 is over: it ran for %2.', job.function, time)
        );
      }
    }
    before = state.jobs;
  });
}
