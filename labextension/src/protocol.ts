/**
 * What the server extension sends, word for word. The twin of this file is
 * `easyremote_jupyter/server/messages.py`; the samples in
 * `tests/jupyter_extension/server/samples` hold the two together.
 */

export interface IGateway {
  address: string;
  version: string;
}

export interface IGpu {
  name: string;
  /** 0 to 1. */
  use: number | null;
  /** In bytes, as all memory here. */
  memory_used: number | null;
  memory_total: number | null;
}

export interface INode {
  node_id: string;
  /** online, suspect or offline; a newer gateway may know more. */
  state: string;
  /** Seconds in this state. */
  since: number;
  python: string;
  version: string;
  functions: string[];
  running: number;
  slots: number;
  cores: number | null;
  /** 0 to 1, of all cores together. */
  cpu: number | null;
  memory_used: number | null;
  memory_total: number | null;
  gpus: IGpu[];
}

export interface IJob {
  call_id: string;
  function: string;
  node_id: string | null;
  /** queued, dispatched, running or suspect; a newer gateway may know more. */
  state: string;
  seconds: number;
}

/** Everything that the panel shows, at one moment. */
export interface ISnapshot {
  kind: 'snapshot';
  gateway: IGateway;
  nodes: INode[];
  jobs: IJob[];
}

/** Why there is nothing to show. */
export interface IUnavailable {
  kind: 'unavailable';
  reason:
    | 'not-configured'
    | 'not-authorized'
    | 'unreachable'
    | 'version-mismatch'
    | 'failed';
  /** In words for people. */
  message: string;
  /** Seconds until the server tries again. */
  retry_in: number;
}

export type Message = { kind: 'connecting' } | ISnapshot | IUnavailable;

/** The only thing that the browser says: try again now. */
export type Request = { kind: 'retry' };
