/** What is computed from the jobs that the server sends. */

import { cellTitle } from '../notebook/cell';
import { amount, percent, stopwatch } from '../core/format';
import { IBar, IBars, IEndedJob, IJob } from '../core/protocol';

export type AnyJob = IJob | IEndedJob;

/** Those that run first, then those that wait, by their place. */
export function arranged(jobs: readonly IJob[]): IJob[] {
  return [...jobs].sort(
    (a, b) => rank(a) - rank(b) || (a.place ?? 0) - (b.place ?? 0)
  );
}

/** The progress of a job, 0 to 1: that of its outermost running bar with a total. */
export function share(bars: IBars | undefined): number | null {
  const running = bars?.bars.find(
    bar => bar.state === 'running' && bar.total !== null
  );
  return running === undefined ? null : barShare(running);
}

/** The progress of a bar, 0 to 1, or null if it is unknown. */
export function barShare(bar: IBar): number | null {
  if (bar.total === null || bar.total <= 0) {
    return bar.state === 'done' ? 1 : null;
  }
  return Math.min(Math.max(bar.n / bar.total, 0), 1);
}

/** The mean progress of the jobs whose progress is known. */
export function meanShare(
  jobs: readonly IJob[],
  bars: ReadonlyMap<string, IBars>
): number | null {
  const shares = jobs
    .map(job => share(bars.get(job.call_id)))
    .filter(each => each !== null);
  return shares.length === 0
    ? null
    : shares.reduce((sum, each) => sum + each, 0) / shares.length;
}

/** A bar in a few characters: `30 % · 0:12`, `1.2k it`. */
export function barText(bar: IBar): string {
  const fraction = barShare(bar);
  if (bar.total === null || fraction === null) {
    const space = bar.scaled ? '' : '\u202f';
    return `${amount(bar.n, bar.scaled)}${space}${bar.unit}`;
  }
  const left =
    bar.state === 'running' && bar.eta !== null
      ? ` · ${stopwatch(bar.eta)}`
      : '';
  return percent(fraction) + left;
}

/** A bar in full, as tqdm writes it. */
export function barDetails(bar: IBar): string {
  const counts = amount(bar.n, bar.scaled);
  const total = bar.total === null ? '' : ` / ${amount(bar.total, bar.scaled)}`;
  const parts = [`${counts}${total} ${bar.unit}`, stopwatch(bar.elapsed)];
  if (bar.rate !== null) {
    parts.push(`${amount(bar.rate, true)} ${bar.unit}/s`);
  }
  if (bar.postfix) {
    parts.push(bar.postfix);
  }
  return parts.join(', ');
}

/** The ids of the kernel and of the cell that a job came from; empty where unknown. */
export function originOf(job: AnyJob): { kernelId: string; cellId: string } {
  const [kernelId, cellId = ''] = job.origin.split('/');
  return { kernelId, cellId };
}

/** What a job is called, where its cell is known, and where it isn't. */
export function titleOf(
  job: AnyJob,
  source: string | undefined,
  cellWord: string
): string {
  const title = source === undefined ? '' : cellTitle(source);
  return title || (job.function === 'cell' ? cellWord : job.function);
}

function rank(job: IJob): number {
  return job.place !== null || job.state === 'queued' ? 1 : 0;
}
