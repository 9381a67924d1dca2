/** The section of the jobs: what runs, what waits for its turn, and what is over. */

import * as React from 'react';
import { elapsed } from '../core/merge';
import { IBars, INode, ISnapshot } from '../core/protocol';
import {
  IJobSectionProps,
  useBars,
  useConnection,
  useSignal
} from '../ui/state';
import { Tree } from '../ui/tree';
import { AnyJob, arranged } from './jobs';
import { JobRow, rowHeight } from './row';

/** Jobs that are over are listed below the others, as many as these. */
const RECENT = 20;

export function Jobs(props: IJobSectionProps): React.ReactElement {
  const { model, trans } = props;
  const state = useConnection(model);
  if (state.kind !== 'snapshot') {
    return <p className="jp-EasyRemote-empty">{trans.__('Not connected.')}</p>;
  }
  const jobs = listed(state);
  if (jobs.length === 0) {
    return (
      <p className="jp-EasyRemote-empty">{trans.__('Nothing is running.')}</p>
    );
  }
  return (
    <>
      <JobTree {...props} jobs={jobs} nodes={state.nodes} />
      {state.more > 0 && (
        <p className="jp-EasyRemote-empty">
          {trans._n('%1 more waits', '%1 more wait', state.more, state.more)}
        </p>
      )}
    </>
  );
}

/** Jobs, as they are listed in the panel and on the page of a node. */
export function JobTree({
  jobs,
  nodes,
  model,
  jobActions,
  trans
}: Pick<IJobSectionProps, 'model' | 'jobActions' | 'trans'> & {
  jobs: AnyJob[];
  nodes: readonly INode[];
}): React.ReactElement {
  const bars = useBars(model);
  const stopping = useSignal(jobActions.changed, () => jobActions.stopping);
  const byId = new Map(nodes.map(node => [node.node_id, node]));
  return (
    <Tree
      items={jobs}
      keyOf={job => job.call_id}
      nameOf={job => jobActions.title(job)}
      heightOf={(job, isExpanded) =>
        rowHeight(job, bars.get(job.call_id), isExpanded)
      }
      label={trans.__('Jobs')}
      className="jp-EasyRemote-jobs"
      kind="job"
      onEnter={job => {
        jobActions.showLog(job);
      }}
      onCopy={job => {
        void jobActions.copyError(job);
      }}
      onDelete={job => {
        if ('state' in job) {
          void jobActions.cancel(job);
        }
      }}
      render={(job, row) => (
        <JobRow
          job={job}
          bars={bars.get(job.call_id) ?? NO_BARS}
          node={byId.get(job.node_id ?? '')}
          isStopping={stopping.has(job.call_id)}
          seconds={lasted(job)}
          {...row}
          actions={jobActions}
          trans={trans}
        />
      )}
    />
  );
}

/** Those that run, those that wait, and the last that are over. */
export function listed({ jobs, ended }: ISnapshot): AnyJob[] {
  return [...arranged(jobs), ...ended.slice(0, RECENT)];
}

const NO_BARS: IBars = { bars: [], count: 0 };

/** How long it has run, or waited; of one that is over, how long it ran. */
function lasted(job: AnyJob): number {
  return 'state' in job ? elapsed(job.seconds, job.heard) : job.seconds;
}
