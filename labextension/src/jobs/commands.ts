/** The actions of jobs as commands: in the menu of a job, and in the palette for the active cell. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import {
  LabIcon,
  copyIcon,
  historyIcon,
  launchIcon,
  listIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import { CommandIDs } from '../core/commands';
import { OpenLog } from '../log/open';
import { notebookPanel } from '../notebook/notebook';
import { IConnectionModel } from '../core/tokens';
import { IJobActions } from './actions';
import { AnyJob, originOf } from './jobs';

/** The rows of jobs, for the context menu. */
const ROW = '.jp-EasyRemote-jobs [role="treeitem"]';

interface ICommand {
  id: string;
  icon?: LabIcon;
  /** In the menu of a job, and in the palette. */
  labels: [string, string];
  isFor: (job: AnyJob) => boolean;
  act: (job: AnyJob) => unknown;
}

export function addJobCommands(
  app: JupyterFrontEnd,
  model: IConnectionModel,
  actions: IJobActions,
  openLog: OpenLog,
  palette: ICommandPalette | null,
  trans: TranslationBundle
): void {
  const jobs = (): AnyJob[] =>
    model.state.kind === 'snapshot'
      ? [...model.state.jobs, ...model.state.ended]
      : [];
  let pointed: string | undefined;
  const target = (id: string, isPalette: boolean): AnyJob | undefined => {
    if (!isPalette) {
      const row = app.contextMenuHitTest(
        element => element.dataset['job'] !== undefined
      );
      // The bar under the pointer may go while the menu is open, so its row is noted now.
      pointed = row?.dataset['job'] ?? pointed;
      return jobs().find(job => job.call_id === pointed);
    }
    return id === CommandIDs.jobCell
      ? jobs().find(job => job.origin !== '')
      : jobs().find(job => originOf(job).cellId === activeCellId(app));
  };
  for (const [rank, command] of commandList(actions, trans).entries()) {
    const { id, icon, labels, isFor, act } = command;
    app.commands.addCommand(id, {
      label: args => labels[args['isPalette'] ? 1 : 0],
      icon,
      isEnabled: args => {
        if (typeof args['callId'] === 'string') {
          return true;
        }
        const job = target(id, Boolean(args['isPalette']));
        return job !== undefined && isFor(job);
      },
      execute: args => {
        const { callId, title } = args;
        if (typeof callId === 'string') {
          openLog(callId, typeof title === 'string' ? title : callId);
          return;
        }
        const job = target(id, Boolean(args['isPalette']));
        return job === undefined ? undefined : act(job);
      }
    });
    app.contextMenu.addItem({ command: id, selector: ROW, rank });
    palette?.addItem({
      command: id,
      category: 'EasyRemote',
      args: { isPalette: true }
    });
  }
}

function commandList(
  actions: IJobActions,
  trans: TranslationBundle
): ICommand[] {
  return [
    {
      id: CommandIDs.jobLog,
      icon: listIcon,
      labels: [
        trans.__('Show the Log'),
        trans.__('Show the log of the job of this cell')
      ],
      isFor: hasOutput,
      act: job => {
        actions.showLog(job);
      }
    },
    {
      id: CommandIDs.jobCell,
      icon: launchIcon,
      labels: [
        trans.__('Go to the Cell'),
        trans.__('Go to the cell of the newest job')
      ],
      isFor: job => job.origin !== '',
      act: job => actions.goToCell(job)
    },
    {
      id: CommandIDs.jobReplay,
      icon: historyIcon,
      labels: [
        trans.__('Replay the Output Here'),
        trans.__('Replay the output of the job of this cell')
      ],
      isFor: hasOutput,
      act: job => {
        actions.replay(job);
      }
    },
    {
      id: CommandIDs.jobCopyError,
      icon: copyIcon,
      labels: [
        trans.__('Copy the Error'),
        trans.__('Copy the error of the job of this cell')
      ],
      isFor: job => 'code' in job && job.code !== '' && hasOutput(job),
      act: job => actions.copyError(job)
    },
    {
      id: CommandIDs.jobCancel,
      icon: stopIcon,
      labels: [
        trans.__('Cancel the Job'),
        trans.__('Cancel the job of this cell')
      ],
      isFor: job => 'state' in job,
      act: job => actions.cancel(job)
    },
    {
      id: CommandIDs.jobKill,
      labels: [
        trans.__('Kill the Job with Its Session…'),
        trans.__('Kill the job of this cell with its session…')
      ],
      isFor: job => 'state' in job && job.function === 'cell',
      act: job => actions.kill(job)
    }
  ];
}

function hasOutput(job: AnyJob): boolean {
  return job.function === 'cell' || job.function === 'shipped';
}

/** The id of the active cell of the notebook in front; without one, an id that no job has. */
function activeCellId(app: JupyterFrontEnd): string | null {
  const notebook = notebookPanel(app.shell.currentWidget)?.content;
  return notebook?.widgets[notebook.activeCellIndex]?.model.id ?? null;
}
