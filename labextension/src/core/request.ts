/** The one module that talks to the server extension: requests, the stream, and polling. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { IPolled, Message, Request } from './protocol';

/** Milliseconds in which a working stream has sent something: it does so at once. */
const FIRST_WORD_MS = 5_000;
/** Milliseconds between an answer and the next question, while polling. */
const POLL_MS = 2000;

/** An open stream, or polling in its place. Closing it twice is harmless. */
export interface IStream {
  send(request: Request): void;
  close(): void;
}

/**
 * Why a stream ended: the Jupyter server does not answer; it has no server
 * extension of EasyRemote; or it answers, but no WebSocket gets through.
 */
export type Ended = 'disconnected' | 'not-installed' | 'blocked';

export interface IStreamHandlers {
  onMessage: (message: Message) => void;
  /** The stream ended, or never began; not called after `close()`. */
  onEnd: (why: Ended) => void;
}

/** `pace` is the wish of `IConnectionModel`. */
export type OpenStream = (handlers: IStreamHandlers, pace: number) => IStream;

/** What the server extension refused, and why. */
export class Refusal extends Error {
  constructor(
    message: string,
    /** A code for programs: the field that is wrong, or the kind of error. */
    readonly reason: string
  ) {
    super(message);
  }
}

/** Why something went wrong, for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : '';
}

/** Ask the server extension; `path` is below `easyremote/`. */
export async function ask<T>(
  settings: ServerConnection.ISettings,
  path: string,
  init: RequestInit = {}
): Promise<T> {
  const url = URLExt.join(settings.baseUrl, 'easyremote', path);
  const response = await ServerConnection.makeRequest(url, init, settings);
  const body = (await response.json().catch(() => ({}))) as T & {
    message?: string;
    reason?: string;
  };
  if (!response.ok) {
    throw new Refusal(body.message ?? `${response.status}`, body.reason ?? '');
  }
  return body;
}

/** Open a stream of messages from the Jupyter server of these settings. */
export function openStream(
  settings: ServerConnection.ISettings,
  { onMessage, onEnd }: IStreamHandlers,
  pace: number
): IStream {
  const { WebSocket, appendToken, token, wsUrl } = settings;
  const query = URLExt.objectToQueryString({
    pace: String(pace),
    ...(appendToken && token ? { token } : {})
  });
  const socket = new WebSocket(URLExt.join(wsUrl, 'easyremote/stream') + query);
  let isClosed = false;
  let hasBegun = false;
  socket.onmessage = (event: MessageEvent<string>) => {
    hasBegun = true;
    clearTimeout(patience);
    onMessage(JSON.parse(event.data) as Message);
  };
  const end = async () => {
    clearTimeout(patience);
    socket.onmessage = socket.onclose = null;
    socket.close();
    const why = hasBegun ? 'disconnected' : await whyRefused(settings);
    if (!isClosed) {
      onEnd(why);
    }
  };
  socket.onclose = end;
  const patience = setTimeout(() => void end(), FIRST_WORD_MS);
  return {
    send: request => {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify(request));
      }
    },
    close: () => {
      isClosed = true;
      clearTimeout(patience);
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
  };
}

/** Browsers don't tell how an upgrade was answered, so another request asks for the status. */
async function whyRefused(
  settings: ServerConnection.ISettings
): Promise<Ended> {
  const url = URLExt.join(settings.baseUrl, 'easyremote/nodes');
  try {
    const { ok, status } = await ServerConnection.makeRequest(
      url,
      {},
      settings
    );
    if (status === 404) {
      return 'not-installed';
    }
    // 503 comes from the server extension: the gateway does not answer.
    return ok || status === 503 ? 'blocked' : 'disconnected';
  } catch {
    return 'disconnected'; // no answer at all
  }
}

/** Ask the Jupyter server again and again, instead of a stream. */
export function poll(
  settings: ServerConnection.ISettings,
  { onMessage, onEnd }: IStreamHandlers
): IStream {
  let isClosed = false;
  let timer: ReturnType<typeof setTimeout>;
  let after = 0;
  const next = async () => {
    try {
      const polled = await ask<IPolled>(settings, `poll?after=${after}`);
      if (isClosed) {
        return;
      }
      const { message, progress } = polled;
      after = message.kind === 'snapshot' ? message.sample : 0;
      onMessage(message);
      onMessage(progress);
      timer = setTimeout(() => void next(), POLL_MS);
    } catch {
      if (!isClosed) {
        onEnd('disconnected');
      }
    }
  };
  void next();
  return {
    send: request => {
      const body = JSON.stringify(request);
      // The next answer shows the effect.
      ask(settings, 'poll', { method: 'POST', body }).catch(() => undefined);
    },
    close: () => {
      isClosed = true;
      clearTimeout(timer);
    }
  };
}

/** GET without a body, POST with one; throws a `Refusal`. */
export type CallServer = <T>(path: string, body?: object) => Promise<T>;

/** Ask the server extension of these settings. */
export function caller(settings: ServerConnection.ISettings): CallServer {
  return (path, body) =>
    ask(settings, path, body && { method: 'POST', body: JSON.stringify(body) });
}
