/** The one place that talks to the server extension. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { Message, Request } from './protocol';

/** An open stream; closing it twice is harmless. */
export interface IStream {
  send(request: Request): void;
  close(): void;
}

/** The Jupyter server is away, or it has no server extension of EasyRemote. */
export type Ended = 'disconnected' | 'not-installed';

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
    /** A word for programs: which field has to change, or what kind of error it is. */
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
  socket.onmessage = (event: MessageEvent<string>) => {
    onMessage(JSON.parse(event.data) as Message);
  };
  let isClosed = false;
  let hasBegun = false;
  socket.onopen = () => {
    hasBegun = true;
  };
  socket.onclose = async () => {
    const why = hasBegun ? 'disconnected' : await whyRefused(settings);
    if (!isClosed) {
      onEnd(why);
    }
  };
  return {
    send: request => {
      if (socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify(request));
      }
    },
    close: () => {
      isClosed = true;
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
  };
}

/** Browsers don't tell how an upgrade was answered: 404 is said to other requests, too. */
async function whyRefused(
  settings: ServerConnection.ISettings
): Promise<Ended> {
  const url = URLExt.join(settings.baseUrl, 'easyremote/nodes');
  try {
    const { status } = await ServerConnection.makeRequest(url, {}, settings);
    return status === 404 ? 'not-installed' : 'disconnected';
  } catch {
    return 'disconnected'; // no answer at all
  }
}

/** GET without a body, POST with one; throws a `Refusal`. */
export type CallServer = <T>(path: string, body?: object) => Promise<T>;

/** Ask the server extension of these settings. */
export function caller(settings: ServerConnection.ISettings): CallServer {
  return (path, body) =>
    ask(settings, path, body && { method: 'POST', body: JSON.stringify(body) });
}
