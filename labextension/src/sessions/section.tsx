/** The section of the sessions: which there are, and what is in them. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { ISession, IVariable } from '../core/protocol';
import { useWhileSeen } from '../ui/looking';
import { firstOfGroups } from '../ui/rows';
import { ISessionSectionProps, useConnection, useSignal } from '../ui/state';
import { Tree } from '../ui/tree';
import { IContents, ISessionsState } from './model';
import { NoteRow, rowHeight, SessionRow, VariableRow } from './row';
import { askedOf, keyOf } from './sessions';

/** A row: a session, one of its variables, or why these are not there. */
export type Item =
  | { kind: 'session'; session: ISession }
  | { kind: 'variable'; session: ISession; variable: IVariable }
  | { kind: 'note'; session: ISession; text: string };

/** What the user is asked to confirm. */
export interface IQuestion {
  key: string;
  action: 'restart' | 'end' | 'delete' | 'release';
  /** Of what somebody else asks. */
  text?: string;
}

export function Sessions(props: ISessionSectionProps): React.ReactElement {
  const { model, sessions, trans } = props;
  const state = useConnection(model);
  const known = useSignal(sessions.stateChanged, () => sessions.state);
  const box = useWhileSeen(
    React.useCallback(() => sessions.look(), [sessions])
  );
  const list = state.kind === 'snapshot' ? (known.sessions ?? []) : [];
  return (
    <div ref={box} className="jp-EasyRemote-looked">
      {list.length > 0 ? (
        <SessionTree
          {...props}
          known={known}
          list={list}
          asked={askedOf(state)}
          hasGroups
        />
      ) : (
        <p className="jp-EasyRemote-empty" tabIndex={0}>
          {state.kind === 'snapshot'
            ? nothing(known, trans)
            : trans.__('Not connected.')}
        </p>
      )}
      {state.kind === 'snapshot' && known.silent.length > 0 && (
        <p className="jp-EasyRemote-empty">
          {trans.__('No answer from %1.', known.silent.join(', '))}
        </p>
      )}
    </div>
  );
}

/** Why there is no session to show. */
export function nothing(
  { sessions, error }: ISessionsState,
  trans: TranslationBundle
): string {
  if (error !== '') {
    return error;
  }
  return sessions === null ? trans.__('Loading…') : trans.__('No sessions.');
}

export function SessionTree({
  sessions,
  sessionActions,
  known,
  list,
  asked,
  hasGroups,
  trans
}: Pick<ISessionSectionProps, 'sessions' | 'sessionActions' | 'trans'> & {
  known: ISessionsState;
  list: readonly ISession[];
  /** As `askedOf` has it. */
  asked: ReadonlyMap<string, string>;
  /** Whether the name of each node stands above its sessions. */
  hasGroups: boolean;
}): React.ReactElement {
  useSignal(sessionActions.changed, () => null); // the notebooks' names
  const [question, setQuestion] = React.useState<IQuestion | null>(null);
  const [kept, setKept] = React.useState<ReadonlySet<string>>(new Set());
  const ordered = [...list].sort((a, b) => keyOf(a).localeCompare(keyOf(b)));
  const firsts = firstOfGroups(ordered, session => session.node_id);
  const isFirst = (item: Item) =>
    hasGroups && item.kind === 'session' && firsts.has(item.session);
  const questionOf = (item: Item): IQuestion | null => {
    const key = itemKey(item);
    const text = asked.get(key);
    if (question?.key === key) {
      return question;
    }
    return text !== undefined && !kept.has(key)
      ? { key, action: 'release', text }
      : null;
  };
  const ask = (item: Item, action: IQuestion['action']) => {
    setQuestion({ key: itemKey(item), action });
  };
  const act = (item: Item, { action }: IQuestion) => {
    setQuestion(null);
    if (item.kind === 'variable') {
      void sessionActions.remove(sessions, item.session, item.variable);
    } else if (action !== 'delete') {
      const how = action === 'restart' ? 'restart' : 'end';
      void sessionActions.replace(sessions, item.session, how);
    }
  };
  return (
    <Tree<Item>
      items={ordered.map(session => ({ kind: 'session', session }))}
      keyOf={itemKey}
      nameOf={item => nameOf(item, sessionActions.notebook(item.session))}
      heightOf={item => rowHeight(isFirst(item), questionOf(item))}
      childrenOf={({ session }) =>
        below(session, known.contents.get(keyOf(session)), trans)
      }
      expanded={known.expanded}
      onExpand={({ session }, isExpanded) => {
        sessions.expand(session, isExpanded);
      }}
      label={trans.__('Sessions')}
      className="jp-EasyRemote-sessions"
      kind="session"
      onEnter={item => {
        if (item.kind === 'variable') {
          sessionActions.pull(item.session, item.variable);
        } else if (item.kind === 'session') {
          const isExpanded = known.expanded.has(keyOf(item.session));
          sessions.expand(item.session, !isExpanded);
        }
      }}
      onCopy={item => {
        sessionActions.copy(
          item.kind === 'variable' ? item.variable.name : keyOf(item.session)
        );
      }}
      onDelete={item => {
        if (item.kind !== 'note') {
          ask(item, item.kind === 'variable' ? 'delete' : 'end');
        }
      }}
      render={(item, row) => {
        const toAnswer = questionOf(item);
        const common = {
          ...row,
          asked: toAnswer,
          onAsk: (action: IQuestion['action']) => {
            ask(item, action);
          },
          onYes: () => {
            if (toAnswer !== null) {
              act(item, toAnswer);
            }
          },
          onNo: () => {
            setQuestion(null);
            if (toAnswer?.action === 'release') {
              setKept(new Set([...kept, toAnswer.key]));
            }
          },
          trans
        };
        switch (item.kind) {
          case 'note':
            return <NoteRow text={item.text} />;
          case 'variable':
            return (
              <VariableRow
                {...common}
                variable={item.variable}
                onPull={() => {
                  sessionActions.pull(item.session, item.variable);
                }}
              />
            );
          case 'session':
            return (
              <SessionRow
                {...common}
                session={item.session}
                notebook={sessionActions.notebook(item.session)}
                count={
                  known.contents.get(keyOf(item.session))?.variables?.length
                }
                isEnding={known.ending.has(keyOf(item.session))}
                isFirst={isFirst(item)}
              />
            );
        }
      }}
    />
  );
}

function itemKey(item: Item): string {
  const key = keyOf(item.session);
  switch (item.kind) {
    case 'session':
      return key;
    case 'variable':
      return `${key}\n${item.variable.name}`;
    case 'note':
      return `${key}\n`;
  }
}

function nameOf(item: Item, notebook: string | null): string {
  switch (item.kind) {
    case 'session':
      return [notebook, item.session.session, item.session.node_id]
        .filter(Boolean)
        .join(', ');
    case 'variable':
      return item.variable.name;
    case 'note':
      return item.text;
  }
}

/** What stands below a session. */
function below(
  session: ISession,
  contents: IContents | undefined,
  trans: TranslationBundle
): Item[] {
  const variables = (contents?.variables ?? []).map((variable): Item => ({
    kind: 'variable',
    session,
    variable
  }));
  const text = noteOf(contents, trans);
  return text === ''
    ? variables
    : [{ kind: 'note', session, text }, ...variables];
}

function noteOf(
  contents: IContents | undefined,
  trans: TranslationBundle
): string {
  if (contents?.isBusy) {
    return contents.variables === null
      ? trans.__('A cell is running. The variables are shown when it ends.')
      : trans.__(
          'A cell is running. These are the variables from before it started.'
        );
  }
  if (contents?.error) {
    return contents.error;
  }
  if (!contents?.variables) {
    return trans.__('Loading…');
  }
  return contents.variables.length === 0 ? trans.__('No variables.') : '';
}
