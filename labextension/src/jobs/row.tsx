/** One job: what it is, how far it has come, and what can be done with it. */

import { TranslationBundle } from '@jupyterlab/translation';
import {
  LabIcon,
  copyIcon,
  launchIcon,
  listIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';
import { memory, percent, roughly, stopwatch } from '../core/format';
import { elapsed } from '../core/merge';
import { IBars, INode } from '../core/protocol';
import { IconButton } from '../ui/iconButton';
import { Shape, StateShape } from '../ui/shape';
import { IRow } from '../ui/tree';
import { IJobActions } from './actions';
import { JobBars, shownBars } from './bars';
import { AnyJob, originOf } from './jobs';

const SHAPES: Partial<Record<string, Shape>> = {
  running: 'well',
  suspect: 'doubt'
};

/** Pixels, as `style/jobs.css` has them: the list must know before it draws. */
const HEAD = 28;
const LINE = 18;
const BUTTONS = 30;
const MARGIN = 4;

/** The height of a row. */
export function rowHeight(
  job: AnyJob,
  bars: IBars | undefined,
  isExpanded: boolean
): number {
  const lines = bars === undefined ? 0 : shownBars(bars, isExpanded).lines;
  return (
    HEAD +
    ('state' in job && job.why !== '' ? LINE : 0) +
    lines * LINE +
    (lines > 0 ? MARGIN : 0) +
    (isExpanded ? 2 * LINE + BUTTONS + MARGIN : 0)
  );
}

interface IJobRowProps extends IRow {
  job: AnyJob;
  bars: IBars;
  /** Where it runs, or ran. */
  node: INode | undefined;
  isStopping: boolean;
  /** How long it has lasted. */
  seconds: number;
  actions: IJobActions;
  trans: TranslationBundle;
}

export function JobRow(props: IJobRowProps): React.ReactElement {
  const { job, bars, isStopping, seconds, isExpanded, actions, trans } = props;
  const word = stateWord(job, isStopping, trans);
  const title = actions.title(job);
  const isRunning =
    'state' in job && job.state === 'running' && !isStopping && job.why === '';
  const why = 'state' in job && !isStopping ? job.why : '';
  return (
    <div className={`jp-EasyRemote-job ${'state' in job ? '' : 'jp-mod-over'}`}>
      <div className="jp-EasyRemote-jobHead" title={`${title}\n${word}`}>
        <StateShape shape={shapeOf(job, isStopping)} label={word} />
        <span className="jp-EasyRemote-function" dir="auto">
          {title}
        </span>
        <span
          className={`jp-EasyRemote-aside ${isRunning ? '' : 'jp-mod-word'}`}
        >
          {isRunning ? job.node_id : word}
        </span>
        <span className="jp-EasyRemote-elapsed">{stopwatch(seconds)}</span>
        <span className="jp-EasyRemote-actions">
          {buttons(props).map(({ icon, label, act }) => (
            <IconButton
              key={label}
              icon={icon}
              label={`${label}: ${title}`}
              tabIndex={props.tabIndex}
              onClick={act}
            />
          ))}
        </span>
      </div>
      {why !== '' && (
        <div className="jp-EasyRemote-why" title={why} dir="auto">
          {why}
        </div>
      )}
      <JobBars bars={bars} isExpanded={isExpanded} trans={trans} />
      {isExpanded && <Details {...props} />}
    </div>
  );
}

interface IButton {
  icon: LabIcon;
  label: string;
  act: () => void;
}

/** The most useful actions for a job in this state. */
function buttons({ job, isStopping, actions, trans }: IJobRowProps): IButton[] {
  const found: IButton[] = [];
  if (hasLog(job)) {
    found.push({
      icon: listIcon,
      label: trans.__('Show the log'),
      act: () => {
        actions.showLog(job);
      }
    });
  }
  if (originOf(job).cellId !== '') {
    found.push({
      icon: launchIcon,
      label: trans.__('Go to the cell'),
      act: () => {
        void actions.goToCell(job);
      }
    });
  }
  if ('state' in job && !isStopping) {
    found.push({
      icon: stopIcon,
      label: trans.__('Cancel'),
      act: () => {
        void actions.cancel(job);
      }
    });
  }
  if ('code' in job && job.code !== '' && hasLog(job)) {
    found.push({
      icon: copyIcon,
      label: trans.__('Copy the error'),
      act: () => {
        void actions.copyError(job);
      }
    });
  }
  return found;
}

/** The actions that are no buttons of the head: the details show them. */
function moreButtons({
  job,
  actions,
  trans
}: IJobRowProps): Omit<IButton, 'icon'>[] {
  const found: Omit<IButton, 'icon'>[] = [];
  if (hasLog(job)) {
    found.push({
      label: trans.__('Replay'),
      act: () => {
        actions.replay(job);
      }
    });
  }
  if ('state' in job && job.function === 'cell') {
    found.push({
      label: trans.__('Kill'),
      act: () => {
        void actions.kill(job);
      }
    });
  }
  return found;
}

/** Where the job runs and came from, and the less common actions. */
function Details(props: IJobRowProps): React.ReactElement {
  const { job, node, tabIndex, actions, trans } = props;
  const panel = actions.cell(job)?.panel.title.label;
  const where = [panel, job.node_id, job.call_id.slice(0, 8)];
  return (
    <div className="jp-EasyRemote-jobDetails">
      <div>{where.filter(Boolean).join(' · ')}</div>
      <div>{'state' in job ? load(node, trans) : ended(job, trans)}</div>
      <div className="jp-EasyRemote-jobButtons">
        {moreButtons(props).map(({ label, act }) => (
          <button
            key={label}
            tabIndex={tabIndex}
            onClick={event => {
              event.stopPropagation();
              act();
            }}
          >
            {label}
          </button>
        ))}
      </div>
    </div>
  );
}

/** The load of its node, of which the job is a part. */
function load(node: INode | undefined, trans: TranslationBundle): string {
  if (node === undefined) {
    return '';
  }
  const parts = node.gpus
    .filter(gpu => gpu.use !== null)
    .map((gpu, index) => {
      const label =
        node.gpus.length > 1 ? trans.__('GPU %1', index) : trans.__('GPU');
      return `${label} ${percent(gpu.use ?? 0)}`;
    });
  if (node.memory_used !== null && node.memory_total) {
    const used = memory(node.memory_used, node.memory_total);
    parts.push(`${trans.__('RAM')} ${used}`);
  }
  return parts.join(' · ');
}

function ended(
  job: { ago: number; heard?: number },
  trans: TranslationBundle
): string {
  return trans.__('%1 ago', roughly(elapsed(job.ago, job.heard)));
}

function hasLog(job: AnyJob): boolean {
  return job.function === 'cell' || job.function === 'shipped';
}

function shapeOf(job: AnyJob, isStopping: boolean): Shape {
  if ('code' in job) {
    return job.code === ''
      ? 'done'
      : job.code === 'cancelled'
        ? 'waiting'
        : 'off';
  }
  return isStopping ? 'doubt' : (SHAPES[job.state] ?? 'waiting');
}

function stateWord(
  job: AnyJob,
  isStopping: boolean,
  trans: TranslationBundle
): string {
  if ('code' in job) {
    return endWord(job.code, trans);
  }
  if (isStopping) {
    return trans.__('stopping');
  }
  if (job.place !== null) {
    return trans.__('place %1 in the queue', job.place);
  }
  switch (job.state) {
    case 'queued':
      return trans.__('queued');
    case 'dispatched':
      return trans.__('starting');
    case 'running':
      return job.why === '' ? trans.__('running') : trans.__('stands still');
    case 'suspect':
      return trans.__('in doubt');
    default:
      return job.state;
  }
}

function endWord(code: string, trans: TranslationBundle): string {
  switch (code) {
    case '':
      return trans.__('done');
    case 'cancelled':
      return trans.__('cancelled');
    case 'timeout':
      return trans.__('out of time');
    case 'lost':
      return trans.__('lost');
    default:
      return trans.__('failed');
  }
}
