/** What is computed from the sessions and variables that the server sends. No DOM. */

import { ISession, IVariable } from '../core/protocol';
import { State } from '../core/tokens';

/** The name of a kernel's own session. */
const OWN_NAME = /^[0-9a-f]{16}$/;
/** The functions of jobs that can change the variables of a session. */
const CHANGES = new Set(['cell', 'widget', 'variables', 'unknown']);

export function keyOf({
  node_id,
  session
}: Pick<ISession, 'node_id' | 'session'>): string {
  return `${node_id}/${session}`;
}

/** What the user is asked about idle sessions whose GPU memory somebody waits for, by session. */
export function askedOf(state: State): ReadonlyMap<string, string> {
  const nodes = state.kind === 'snapshot' ? state.nodes : [];
  return new Map(
    nodes.flatMap(({ node_id, asked }) =>
      Object.entries(asked).map(([session, text]): [string, string] => [
        keyOf({ node_id, session }),
        text
      ])
    )
  );
}

/** The name that somebody gave it, or null where it has the one of its kernel. */
export function givenName({ session }: ISession): string | null {
  return OWN_NAME.test(session) ? null : session;
}

/** A text that changes whenever a session may have changed: with nodes, and jobs that begin or end. */
export function signature(state: State, nodeId: string | null): string {
  if (state.kind !== 'snapshot') {
    return '';
  }
  const isMeant = (each: { node_id: string | null }) =>
    nodeId === null || each.node_id === nodeId;
  const nodes = state.nodes.filter(
    node => node.state === 'online' && node.runs_code && isMeant(node)
  );
  const jobs = state.jobs.filter(
    job => CHANGES.has(job.function) && isMeant(job)
  );
  const ended = state.ended.filter(
    job => CHANGES.has(job.function) && isMeant(job)
  );
  return JSON.stringify([
    nodes.map(node => node.node_id),
    jobs.map(job => [job.call_id, job.state]),
    ended.map(job => job.call_id)
  ]);
}

/** The line that brings a variable into the notebook with this session of its own. */
export function pullCell(
  session: ISession,
  name: string,
  ownSession: string | null
): string {
  const isOwn = session.session === ownSession;
  const target = isOwn ? session.node_id : keyOf(session);
  return `%remote_get ${quoted(target)} ${name}`;
}

/** A word as a shell reads it. */
function quoted(word: string): string {
  return /^[^\s'"\\]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/** Whether the magics can name it. */
export function isName({ name }: IVariable): boolean {
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(name);
}

/** `int64 (3, 4)`: its type, and the shape of an array. */
export function typeText({ type, shape }: IVariable): string {
  return shape === null ? type : `${type} (${shape.join(', ')})`;
}
