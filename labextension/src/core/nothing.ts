/** Why there may be nothing to show, and one text for each reason. */

import { TranslationBundle } from '@jupyterlab/translation';
import { IUnavailable } from './protocol';
import { Ended } from './request';
import { State } from './tokens';

/** Each reason with what its text needs. */
export type Nothing =
  | { why: 'connecting' }
  | { why: Exclude<Ended, 'blocked'> }
  | { why: 'no-nodes'; address: string }
  | { why: IUnavailable['reason']; message: string; retryIn: number };

/** What a command line does, and the command line. */
export interface IStep {
  text: string;
  command: string;
}

/** A text for people: what is wrong, and the commands that mend it. */
export interface IExplanation {
  title: string;
  text?: string;
  steps?: IStep[];
  /** Seconds until the next try; none if there is no next try. */
  retryIn?: number;
}

/** Why there are no nodes to show, or null where there are some. */
export function nothingToShow(state: State): Nothing | null {
  switch (state.kind) {
    case 'connecting':
    case 'disconnected':
    case 'not-installed':
      return { why: state.kind };
    case 'unavailable':
      return {
        why: state.reason,
        message: state.message,
        retryIn: state.retry_in
      };
    case 'snapshot':
      return state.nodes.length > 0
        ? null
        : { why: 'no-nodes', address: state.gateway.address };
  }
}

/** The text for a reason. */
export function explain(
  nothing: Nothing,
  trans: TranslationBundle
): IExplanation {
  switch (nothing.why) {
    case 'connecting':
      return { title: trans.__('Connecting…') };
    case 'disconnected':
      return {
        title: trans.__('The Jupyter server does not answer'),
        text: trans.__('The nodes are shown again when it answers.')
      };
    case 'not-installed':
      return {
        title: trans.__('This Jupyter server has no EasyRemote'),
        steps: [
          {
            text: trans.__(
              'Install it in the environment of the Jupyter server, and restart the server:'
            ),
            command: "pip install 'easyremote[lab]'"
          },
          {
            text: trans.__('If it is installed, it may be disabled:'),
            command: 'jupyter server extension enable easyremote_jupyter'
          }
        ]
      };
    case 'no-nodes':
      return {
        title: trans.__('No nodes yet'),
        steps: [
          {
            text: trans.__(
              'Start one on this machine, or on any that can reach %1:',
              nothing.address
            ),
            command: 'easyremote node'
          }
        ]
      };
    case 'not-configured':
      return {
        title: trans.__('No gateway yet'),
        steps: [
          {
            text: trans.__('Start a gateway and a node on this machine:'),
            command: 'easyremote up'
          },
          {
            text: trans.__('Or use a gateway that runs elsewhere:'),
            command: 'easyremote login my-vps:8080'
          }
        ]
      };
    case 'not-authorized':
      return {
        title: trans.__('The gateway refused the key'),
        text: nothing.message,
        steps: [
          {
            text: trans.__('Log in with a valid key:'),
            command: 'easyremote login'
          }
        ],
        retryIn: nothing.retryIn
      };
    case 'unreachable':
      return {
        title: trans.__('The gateway does not answer'),
        text: nothing.message,
        retryIn: nothing.retryIn
      };
    case 'version-mismatch':
      return {
        title: trans.__('The versions do not match'),
        text: nothing.message,
        retryIn: nothing.retryIn
      };
    case 'failed':
      return {
        title: trans.__('Something went wrong'),
        text: nothing.message,
        retryIn: nothing.retryIn
      };
  }
}
