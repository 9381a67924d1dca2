/**
 * What the server extension sends, word for word. The twin of this file is
 * `easyremote/panel/messages.py`; the samples in
 * `tests/panel/samples` hold the two together.
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
  /** Bytes a second, from and to other machines. */
  received: number | null;
  sent: number | null;
  labels: string[];
  /** Whether cells and shipped functions run there. */
  runs_code: boolean;
  /** Whether a session may have packages installed. */
  installs: boolean;
  /** Seconds after which a session that nobody uses is ended. */
  session_idle: number | null;
  /** Shipped functions of one key that run at a time. */
  processes: number | null;
  /** The functions that it has and does not offer, and why. */
  withheld: Record<string, string>;
  /** Why nothing new starts there now; empty where something may. */
  closed: string;
  /** What its owner has asked the gateway for. */
  lent: 'yes' | 'paused' | 'drained';
  /** By session: who waits for the GPU memory that it holds while nobody uses it. */
  asked: Record<string, string>;
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
  /** `kernel/cell`, where that is known. */
  origin: string;
  /** In its queue, where it waits. */
  place: number | null;
  /** Why it waits, or stands still: a sentence of the gateway's. */
  why: string;
  /** As of a node. */
  heard?: number;
}

/** A job that is over. */
export interface IEndedJob {
  call_id: string;
  function: string;
  node_id: string | null;
  /** Of the error; empty where there was none. */
  code: string;
  /** That it ran. */
  seconds: number;
  /** Seconds since it ended. */
  ago: number;
  origin: string;
  /** As of a node. */
  heard?: number;
}

/** One progress bar of a job. */
export interface IBar {
  id: string;
  /** 0 for the outermost. */
  position: number;
  desc: string;
  n: number;
  total: number | null;
  unit: string;
  /** Units a second. */
  rate: number | null;
  elapsed: number;
  /** Seconds to go. */
  eta: number | null;
  state: 'running' | 'done' | 'failed';
  postfix: string;
  /** Whether numbers are scaled (`1.2M`). */
  scaled: boolean;
}

/** Those bars of a job that are worth showing, and how many there are. */
export interface IBars {
  bars: IBar[];
  count: number;
}

/** The bars that have moved, by call id. */
export interface IProgress {
  kind: 'progress';
  jobs: Record<string, IBars>;
}

/** Some of a log. */
export interface ILogPage {
  /** Of the numbers; another one begins anew. */
  epoch: string;
  /** The number of the first piece. */
  start: number;
  pieces: ILogPiece[];
  state: 'queued' | 'running' | 'done' | 'failed' | 'lost';
}

export interface ILogPiece {
  kind: 'stdout' | 'stderr' | 'display' | 'error';
  text: string;
}

/** Everything that the panel shows, at one moment. */
export interface ISnapshot {
  kind: 'snapshot';
  gateway: IGateway;
  nodes: INode[];
  jobs: IJob[];
  /** Jobs beside these. */
  more: number;
  /** The last jobs that are over, the newest first. */
  ended: IEndedJob[];
  /** The number of the message; a delta has the next one. */
  seq: number;
  /** The number of the newest sample of the history. */
  sample: number;
  /** By node: a series for each meter, as `meters` in merge.ts has them. */
  history: Partial<Record<string, Series[]>>;
  /** The history begins after this sample. */
  after: number;
  /** Seconds that the gateway takes to answer the Jupyter server. */
  latency: number | null;
  /** The version of EasyRemote in the Jupyter server; an old one does not send it. */
  server: string;
}

/** What has changed since the message before. All that is not named is unchanged. */
export interface IDelta {
  kind: 'delta';
  seq: number;
  sample: number;
  nodes?: INode[];
  gone?: string[];
  jobs?: IJob[];
  /** Call ids of jobs that do not run or wait any more. */
  over?: string[];
  more?: number;
  /** Jobs that ended since the message before. */
  ended?: IEndedJob[];
  latency?: number;
}

/** A session on a node. */
export interface ISession {
  node_id: string;
  session: string;
  /** Whether something runs there. */
  busy: boolean;
  /** Calls that wait for that. */
  waiting: number;
  /** Seconds since it was used last. */
  idle: number;
  /** `kernel/cell` of its newest cell, where that is known. */
  origin: string;
  /** As of a node. */
  heard?: number;
}

export interface ISessionList {
  sessions: ISession[];
  /** Nodes that did not answer. */
  silent: string[];
}

export interface IVariable {
  name: string;
  type: string;
  /** In bytes, roughly. */
  size: number;
  /** Its repr, shortened. */
  text: string;
  /** Of an array. */
  shape: number[] | null;
}

/** The variables of a session; they are unknown while a cell runs there. */
export interface IVariableList {
  busy: boolean;
  variables: IVariable[];
}

/** What the calls of one key have used on a node. */
export interface IUsageOfKey {
  /** Whose key it is; its id where it has no name. */
  key: string;
  calls: number;
  /** Of these: calls that ended without a value. */
  failed: number;
  run_seconds: number;
  /** The same for each GPU that was held. */
  gpu_seconds: number;
  argument_bytes: number;
  result_bytes: number;
}

/** The keys that have used a node in the last 7 days, the one that used most first. */
export interface IUsageList {
  rows: IUsageOfKey[];
}

/** Samples in percents, or in kB a second, a second apart; null for what is not known. */
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
  { kind: 'connecting' } | ISnapshot | IDelta | IProgress | IUnavailable;

/** The answer to a browser that polls because it can have no stream. */
export interface IPolled {
  message: Exclude<Message, IDelta | IProgress>;
  /** All bars of all jobs. */
  progress: IProgress;
}

/** The only thing that the browser says: try again now. */
export type Request = { kind: 'retry' };

/** What can be done where there is no gateway yet, or none that answers. */
export interface ISetup {
  /** What "start one here" would start; empty where it would not help. */
  start: 'gateway' | 'node' | '';
  /** Whether another gateway can be named. */
  connect: boolean;
}
