/** What can be told of calls beyond what the gateway says. */

import { elapsed } from '../merge';
import { IJob } from '../protocol';

/** Place of each queued call among one's own for the same node, from 1; by call id. */
export function places(jobs: readonly IJob[]): Map<string, number> {
  const places = new Map<string, number>();
  const counts = new Map<string | null, number>();
  for (const job of jobs.filter(each => each.state === 'queued')) {
    const place = (counts.get(job.node_id) ?? 0) + 1;
    counts.set(job.node_id, place);
    places.set(job.call_id, place);
  }
  return places;
}

/** The calls that ran for so many seconds at least and are no more. */
export function ended(
  before: readonly IJob[],
  after: readonly IJob[],
  seconds: number,
  now: number
): IJob[] {
  const present = new Set(after.map(job => job.call_id));
  return before.filter(
    job =>
      !present.has(job.call_id) &&
      job.state !== 'queued' &&
      elapsed(job.seconds, job.heard, now) >= seconds
  );
}
