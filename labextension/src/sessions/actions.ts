/** What can be done with a session and its variables. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { ISignal, Signal } from '@lumino/signaling';
import { IAttachments } from '../attach/attachments';
import { INotebookPanel, notebookPanel, runMagic } from '../notebook/notebook';
import { ISession, IVariable } from '../core/protocol';
import { messageOf } from '../core/request';
import { GLANCE_MS, READ_MS } from '../ui/notices';
import { SessionsModel } from './model';
import { pullCell } from './sessions';

export interface ISessionActions {
  /** Emits when other notebooks run. */
  readonly changed: ISignal<ISessionActions, void>;
  /** The name of the notebook that used it last, where its kernel runs here. */
  notebook(session: ISession): string | null;
  /** Bring a variable into a notebook, by a cell that can be seen. */
  pull(session: ISession, variable: IVariable): void;
  copy(text: string): void;
  remove(
    model: SessionsModel,
    session: ISession,
    variable: IVariable
  ): Promise<void>;
  replace(
    model: SessionsModel,
    session: ISession,
    how: 'restart' | 'end'
  ): Promise<void>;
  /** Restart a session whose row may not be shown. */
  restart(
    model: SessionsModel,
    session: Pick<ISession, 'node_id' | 'session'>
  ): Promise<void>;
}

export class SessionActions implements ISessionActions {
  constructor(
    app: JupyterFrontEnd,
    attachments: IAttachments,
    trans: TranslationBundle
  ) {
    this._app = app;
    this._attachments = attachments;
    this._trans = trans;
    app.serviceManager.sessions.runningChanged.connect(() => {
      this._changed.emit();
    });
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  notebook({ origin }: ISession): string | null {
    const [kernelId] = origin.split('/');
    for (const session of this._app.serviceManager.sessions.running()) {
      if (kernelId !== '' && session.kernel?.id === kernelId) {
        return session.path.slice(session.path.lastIndexOf('/') + 1);
      }
    }
    return null;
  }

  pull(session: ISession, { name }: IVariable): void {
    const panel = this._target(session);
    if (panel === null) {
      Notification.info(
        this._trans.__('Open a notebook first: %1 goes there.', name),
        { autoClose: READ_MS }
      );
      return;
    }
    const own = this._attachments.of(panel).session;
    void runMagic(panel, null, pullCell(session, name, own), this._app);
  }

  copy(text: string): void {
    Clipboard.copyToSystem(text);
    Notification.info(this._trans.__('Copied: %1', text), {
      autoClose: GLANCE_MS
    });
  }

  async remove(
    model: SessionsModel,
    session: ISession,
    { name }: IVariable
  ): Promise<void> {
    await tell(() => model.remove(session, name));
  }

  async replace(
    model: SessionsModel,
    session: ISession,
    how: 'restart' | 'end'
  ): Promise<void> {
    await tell(() => model.replace(session, how));
  }

  async restart(
    model: SessionsModel,
    session: Pick<ISession, 'node_id' | 'session'>
  ): Promise<void> {
    await tell(async () => {
      const isDone = await model.replace(session, 'restart');
      Notification.info(
        isDone
          ? this._trans.__(
              'The session on %1 was restarted and is empty.',
              session.node_id
            )
          : this._trans.__(
              'This notebook has no session on %1: there is nothing to restart.',
              session.node_id
            ),
        { autoClose: READ_MS }
      );
    });
  }

  /** The notebook in front; else the one that the session is of; else any that is open. */
  private _target({ origin }: ISession): INotebookPanel | null {
    const { shell } = this._app;
    const current = notebookPanel(shell.currentWidget);
    const open = [...shell.widgets('main')].map(notebookPanel);
    const [kernelId] = origin.split('/');
    const isOf = (panel: INotebookPanel | null) =>
      panel?.context.sessionContext.session?.kernel?.id === kernelId;
    return current ?? open.find(isOf) ?? open.find(each => each) ?? null;
  }

  private readonly _app: JupyterFrontEnd;
  private readonly _attachments: IAttachments;
  private readonly _trans: TranslationBundle;
  private readonly _changed = new Signal<this, void>(this);
}

/** Do it, and show an error to the user. */
async function tell(action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    Notification.error(messageOf(error), { autoClose: false });
  }
}
