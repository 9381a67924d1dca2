/** The section of the calls that run, or wait for their turn. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { stopwatch } from '../format';
import { IJob } from '../protocol';
import { Shape, StateShape } from '../ui/shape';
import { ISectionProps, useConnection } from '../ui/state';

const SHAPES: Partial<Record<string, Shape>> = {
  running: 'well',
  suspect: 'doubt'
};

export function Running({ model, trans }: ISectionProps): React.ReactElement {
  const state = useConnection(model);
  const jobs = state.kind === 'snapshot' ? state.jobs : [];
  if (jobs.length === 0) {
    return (
      <p className="jp-EasyRemote-empty">
        {state.kind === 'snapshot'
          ? trans.__('Nothing is running.')
          : trans.__('Not connected.')}
      </p>
    );
  }
  return (
    <ul className="jp-EasyRemote-jobs" aria-label={trans.__('Running')}>
      {jobs.map(job => (
        <JobRow key={job.call_id} job={job} trans={trans} />
      ))}
    </ul>
  );
}

function JobRow({
  job,
  trans
}: {
  job: IJob;
  trans: TranslationBundle;
}): React.ReactElement {
  const word = stateName(job.state, trans);
  return (
    <li className="jp-EasyRemote-job" title={`${job.function}: ${word}`}>
      <StateShape shape={SHAPES[job.state] ?? 'waiting'} label={word} />
      <span className="jp-EasyRemote-function">{job.function}</span>
      <span className="jp-EasyRemote-aside">
        {job.state === 'running' ? job.node_id : word}
      </span>
      <span className="jp-EasyRemote-elapsed">{stopwatch(job.seconds)}</span>
    </li>
  );
}

function stateName(state: string, trans: TranslationBundle): string {
  switch (state) {
    case 'queued':
      return trans.__('queued');
    case 'dispatched':
      return trans.__('starting');
    case 'running':
      return trans.__('running');
    case 'suspect':
      return trans.__('in doubt');
    default:
      return state;
  }
}
