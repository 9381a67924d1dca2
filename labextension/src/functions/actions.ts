/** What can be done with a function of a node. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { codeCell } from '../notebook/cell';
import { filled, insertBelow, notebookPanel } from '../notebook/notebook';
import { ask, messageOf } from '../core/request';
import { callCell, IFunction } from './functions';
import { GLANCE_MS, READ_MS } from '../ui/notices';

/** How a run stands. */
export interface IRun {
  call_id: string;
  state: 'running' | 'done' | 'failed';
  /** The value as JSON, or the error. */
  text: string;
}

export interface IFunctionActions {
  /** All functions of the nodes online. */
  list(): Promise<IFunction[]>;
  /** Put a cell that calls it below the active one. */
  insert(fn: IFunction): void;
  copy(fn: IFunction): void;
  /** Call it; `onRun` is called at once, and again at its end. */
  run(
    fn: IFunction,
    values: Record<string, unknown>,
    onRun: (run: IRun) => void
  ): Promise<void>;
  cancel(run: IRun): Promise<void>;
}

export class FunctionActions implements IFunctionActions {
  constructor(app: JupyterFrontEnd, trans: TranslationBundle) {
    this._app = app;
    this._trans = trans;
  }

  async list(): Promise<IFunction[]> {
    const { functions } = await this._ask<{ functions: IFunction[] }>(
      'functions'
    );
    return functions;
  }

  insert(fn: IFunction): void {
    const panel = notebookPanel(this._app.shell.currentWidget);
    if (panel === null) {
      Notification.info(
        this._trans.__(
          'Open a notebook first: the call of %1 goes there.',
          fn.name
        ),
        { autoClose: READ_MS }
      );
      return;
    }
    void filled(panel).then(({ content }) => {
      insertBelow(content, codeCell(callCell(fn)));
      content.mode = 'edit';
    });
  }

  copy(fn: IFunction): void {
    Clipboard.copyToSystem(fn.name);
    Notification.info(this._trans.__('Copied: %1', fn.name), {
      autoClose: GLANCE_MS
    });
  }

  async run(
    { node_id, name }: IFunction,
    values: Record<string, unknown>,
    onRun: (run: IRun) => void
  ): Promise<void> {
    try {
      const body = JSON.stringify({
        node_id,
        function: name,
        arguments: values
      });
      let run = await this._ask<IRun>('functions/run', {
        method: 'POST',
        body
      });
      onRun(run);
      while (run.state === 'running') {
        run = await this._ask<IRun>(`runs/${run.call_id}`);
      }
      onRun(run);
    } catch (error) {
      onRun({ call_id: '', state: 'failed', text: messageOf(error) });
    }
  }

  async cancel({ call_id }: IRun): Promise<void> {
    await this._ask(`jobs/${call_id}/cancel`, { method: 'POST' });
  }

  private _ask<T>(path: string, init?: RequestInit): Promise<T> {
    return ask<T>(this._app.serviceManager.serverSettings, path, init);
  }

  private readonly _app: JupyterFrontEnd;
  private readonly _trans: TranslationBundle;
}
