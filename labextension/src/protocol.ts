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
  labels: string[];
  /** Not from the server: when it came, in milliseconds of this page's clock. */
  heard?: number;
}

export interface IJob {
  call_id: string;
  function: string;
  node_id: string | null;
  /** queued, dispatched, running or suspect; a newer gateway may know more. */
  state: string;
  seconds: number;
  /** As of a node. */
  heard?: number;
}

/** Everything that the panel shows, at one moment. */
export interface ISnapshot {
  kind: 'snapshot';
  gateway: IGateway;
  nodes: INode[];
  jobs: IJob[];
  /** The number of the message; a delta has the next one. */
  seq: number;
  /** The number of the newest sample of the history. */
  sample: number;
  /** By node: a series for each meter, CPU and RAM first, then each GPU. */
  history: Partial<Record<string, Series[]>>;
}

/** What has changed since the message before. Who is not named is as before. */
export interface IDelta {
  kind: 'delta';
  seq: number;
  sample: number;
  nodes?: INode[];
  gone?: string[];
  jobs?: IJob[];
  /** Call ids. */
  ended?: string[];
}

/** Samples in percents, a second apart; null for what is not known. */
export type Series = (number | null)[];

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

export type Message =
  { kind: 'connecting' } | ISnapshot | IDelta | IUnavailable;

/** The only thing that the browser says: try again now. */
export type Request = { kind: 'retry' };
