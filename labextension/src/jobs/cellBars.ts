/** A thin bar on each cell that runs on a node, if its progress is known. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { TranslationBundle } from '@jupyterlab/translation';
import { findCell } from '../notebook/notebook';
import { IConnectionModel } from '../core/tokens';
import { originOf, share } from './jobs';

export class CellBars {
  constructor(shell: JupyterFrontEnd.IShell, trans: TranslationBundle) {
    this._shell = shell;
    this._trans = trans;
  }

  /** Draw the present state. */
  update({ state, bars }: IConnectionModel): void {
    const jobs = state.kind === 'snapshot' ? state.jobs : [];
    const old = this._bars;
    this._bars = new Map();
    for (const job of jobs) {
      const fraction = share(bars.get(job.call_id));
      const { cellId } = originOf(job);
      const found =
        fraction === null || cellId === ''
          ? null
          : findCell(this._shell, cellId);
      if (fraction !== null && found !== null) {
        const bar = old.get(job.call_id) ?? this._create();
        if (bar.parentElement !== found.cell.node) {
          found.cell.node.append(bar);
        }
        bar.setAttribute('aria-valuenow', String(Math.round(fraction * 100)));
        (bar.firstChild as HTMLElement).style.transform = `scaleX(${fraction})`;
        this._bars.set(job.call_id, bar);
        old.delete(job.call_id);
      }
    }
    for (const bar of old.values()) {
      bar.remove();
    }
  }

  private _create(): HTMLElement {
    const bar = document.createElement('div');
    bar.className = 'jp-EasyRemote-bar jp-EasyRemote-cellBar';
    bar.setAttribute('role', 'progressbar');
    bar.setAttribute('aria-label', this._trans.__('Progress of the cell'));
    bar.setAttribute('aria-valuemin', '0');
    bar.setAttribute('aria-valuemax', '100');
    bar.append(document.createElement('div'));
    return bar;
  }

  private readonly _shell: JupyterFrontEnd.IShell;
  private readonly _trans: TranslationBundle;
  /** By call id. */
  private _bars = new Map<string, HTMLElement>();
}
