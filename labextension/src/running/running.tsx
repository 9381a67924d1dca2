/** The section of the calls that run, or wait for their turn. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { stopwatch } from '../format';
import { elapsed } from '../merge';
import { IJob } from '../protocol';
import { places } from './jobs';
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
  const queue = places(jobs);
  return (
    <ul className="jp-EasyRemote-jobs" aria-label={trans.__('Running')}>
      {jobs.map(job => (
        <JobRow
          key={job.call_id}
          job={job}
          place={queue.get(job.call_id)}
          trans={trans}
        />
      ))}
    </ul>
  );
}

function JobRow({
  job,
  place,
  trans
}: {
  job: IJob;
  /** In the queue, where it waits. */
  place?: number;
  trans: TranslationBundle;
}): React.ReactElement {
  const word =
    place === undefined
      ? stateName(job.state, trans)
      : trans.__('%1. in your queue', place);
  return (
    <li className="jp-EasyRemote-job" title={`${job.function}: ${word}`}>
      <StateShape shape={SHAPES[job.state] ?? 'waiting'} label={word} />
      <span className="jp-EasyRemote-function">{job.function}</span>
      <span className="jp-EasyRemote-aside">
        {job.state === 'running' ? job.node_id : word}
      </span>
      <span className="jp-EasyRemote-elapsed">
        {stopwatch(elapsed(job.seconds, job.heard))}
      </span>
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
