/** What can be done with a job, from wherever it is shown. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import {
  Clipboard,
  Dialog,
  Notification,
  showDialog
} from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import { ISignal, Signal } from '@lumino/signaling';
import { CommandIDs } from '../core/commands';
import {
  findCell,
  IFoundCell,
  notebookPanel,
  runMagic
} from '../notebook/notebook';
import { ask, messageOf } from '../core/request';
import { AnyJob, originOf, titleOf } from './jobs';
import { GLANCE_MS, READ_MS } from '../ui/notices';

export interface IJobActions {
  /** Jobs that were told to stop, and have not ended yet. */
  readonly stopping: ReadonlySet<string>;
  readonly changed: ISignal<IJobActions, void>;
  /** What the job is called: by its cell, where that is open here. */
  title(job: AnyJob): string;
  /** The cell that it came from, where that is open here. */
  cell(job: AnyJob): IFoundCell | null;
  /** Interrupt it, as the stop button does. */
  cancel(job: AnyJob): Promise<void>;
  /** Ask the user, then end the job with its process and the variables there. */
  kill(job: AnyJob): Promise<void>;
  /** Follow what it prints. */
  showLog(job: AnyJob): void;
  /** Show the cell that it came from; its notebook is opened, if need be. */
  goToCell(job: AnyJob): Promise<void>;
  /** Show its output once more, in a new cell of the notebook. */
  replay(job: AnyJob): void;
  /** Copy the traceback. */
  copyError(job: AnyJob): Promise<void>;
}

export const IJobActions = new Token<IJobActions>(
  'easyremote:IJobActions',
  'What can be done with a job of EasyRemote: cancel it, read its log, go to its cell.'
);

export class JobActions implements IJobActions {
  constructor(app: JupyterFrontEnd, trans: TranslationBundle) {
    this._app = app;
    this._trans = trans;
  }

  get stopping(): ReadonlySet<string> {
    return this._stopping;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  title(job: AnyJob): string {
    let title = this._titles.get(job.call_id);
    if (title === undefined) {
      const source = this.cell(job)?.cell.model.sharedModel.getSource();
      title = titleOf(job, source, this._trans.__('cell'));
      if (source !== undefined) {
        this._titles.set(job.call_id, title); // the title stays as it was when the cell was sent
      }
    }
    return title;
  }

  cell(job: AnyJob): IFoundCell | null {
    const { cellId } = originOf(job);
    return cellId === '' ? null : findCell(this._app.shell, cellId);
  }

  async cancel(job: AnyJob): Promise<void> {
    await this._stop(job, 'cancel');
  }

  async kill(job: AnyJob): Promise<void> {
    const { button } = await showDialog({
      title: this._trans.__('End the job with its session?'),
      body: this._trans.__(
        'The process of %1 on %2 ends at once, and its variables are lost.',
        this.title(job),
        job.node_id ?? '?'
      ),
      buttons: [
        Dialog.cancelButton({ label: this._trans.__('Keep It') }),
        Dialog.warnButton({ label: this._trans.__('End It') })
      ]
    });
    if (button.accept) {
      await this._stop(job, 'kill');
    }
  }

  showLog(job: AnyJob): void {
    void this._app.commands.execute(CommandIDs.jobLog, {
      callId: job.call_id,
      title: this.title(job)
    });
  }

  async goToCell(job: AnyJob): Promise<void> {
    const found = this.cell(job) ?? (await this._open(job));
    if (found === null) {
      Notification.info(
        this._trans.__('The notebook of this job was not found.'),
        { autoClose: READ_MS }
      );
      return;
    }
    const { panel, notebook, index } = found;
    this._app.shell.activateById(panel.id);
    notebook.activeCellIndex = index;
    notebook.mode = 'command';
    await notebook.scrollToItem?.(index, 'center');
    notebook.activate();
  }

  replay(job: AnyJob): void {
    const found = this.cell(job);
    const panel = found?.panel ?? notebookPanel(this._app.shell.currentWidget);
    if (panel === null) {
      Notification.info(
        this._trans.__('Open a notebook first: the output goes there.'),
        { autoClose: READ_MS }
      );
      return;
    }
    const line = `%remote_job ${job.call_id.slice(0, 8)} --follow`;
    void runMagic(panel, found?.index ?? null, line, this._app);
  }

  async copyError(job: AnyJob): Promise<void> {
    await this._tell(async () => {
      const { error } = await ask<{ error: string }>(
        this._app.serviceManager.serverSettings,
        `jobs/${job.call_id}/error`
      );
      Clipboard.copyToSystem(error);
      Notification.info(this._trans.__('Copied: %1', lastLine(error)), {
        autoClose: GLANCE_MS
      });
    });
  }

  /** Forget what is over. */
  settle(present: ReadonlySet<string>): void {
    const left = [...this._stopping].filter(each => present.has(each));
    if (left.length < this._stopping.size) {
      this._stopping = new Set(left);
      this._changed.emit();
    }
  }

  private async _stop(job: AnyJob, how: 'cancel' | 'kill'): Promise<void> {
    this._stopping = new Set([...this._stopping, job.call_id]);
    this._changed.emit();
    const isTold = await this._tell(async () => {
      await ask(
        this._app.serviceManager.serverSettings,
        `jobs/${job.call_id}/${how}`,
        { method: 'POST' }
      );
    });
    if (!isTold) {
      this.settle(new Set([...this._stopping].filter(e => e !== job.call_id)));
    }
  }

  /** Open the notebook whose kernel ran the job. */
  private async _open(job: AnyJob): Promise<IFoundCell | null> {
    const { kernelId } = originOf(job);
    const { sessions } = this._app.serviceManager;
    await sessions.refreshRunning();
    for (const session of sessions.running()) {
      if (kernelId !== '' && session.kernel?.id === kernelId) {
        const widget: unknown = await this._app.commands.execute(
          'docmanager:open',
          { path: session.path }
        );
        await (widget as { revealed?: Promise<void> } | undefined)?.revealed;
        return this.cell(job);
      }
    }
    return null;
  }

  /** Do it, and show an error to the user; whether it went well. */
  private async _tell(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      Notification.error(messageOf(error), { autoClose: false });
      return false;
    }
  }

  private readonly _app: JupyterFrontEnd;
  private readonly _trans: TranslationBundle;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _titles = new Map<string, string>();
  private _stopping: ReadonlySet<string> = new Set();
}

function lastLine(text: string): string {
  return text.slice(text.lastIndexOf('\n') + 1);
}
