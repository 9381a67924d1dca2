/** One row of the sessions: a session, a variable, or a note. */

import { TranslationBundle } from '@jupyterlab/translation';
import {
  closeIcon,
  deleteIcon,
  downloadIcon,
  refreshIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';
import { bytes, roughly } from '../core/format';
import { elapsed } from '../core/merge';
import { ISession, IVariable } from '../core/protocol';
import { Confirm, CONFIRM_HEIGHT, UNASKED_HEIGHT } from '../ui/confirm';
import { IconButton } from '../ui/iconButton';
import { StateShape } from '../ui/shape';
import { IRow } from '../ui/tree';
import { IQuestion } from './section';
import { givenName, isName, typeText } from './sessions';

/** Pixels, as `style/sessions.css` has them: the list must know before it draws. */
const GROUP = 24;
const LINE = 28;
/** How many characters of a generated name are shown. */
const SHORT = 8;

/** The height of a row. */
export function rowHeight(isFirst: boolean, asked: IQuestion | null): number {
  const height = asked?.action === 'release' ? UNASKED_HEIGHT : CONFIRM_HEIGHT;
  return LINE + (isFirst ? GROUP : 0) + (asked === null ? 0 : height);
}

interface IAskingRow extends IRow {
  /** What is asked about it. */
  asked: IQuestion | null;
  onAsk: (action: IQuestion['action']) => void;
  onYes: () => void;
  onNo: () => void;
  trans: TranslationBundle;
}

export function SessionRow({
  session,
  notebook,
  count,
  isEnding,
  isFirst,
  tabIndex,
  asked,
  onAsk,
  onYes,
  onNo,
  trans
}: IAskingRow & {
  session: ISession;
  /** The name of the notebook that used it last, where that is known. */
  notebook: string | null;
  /** How many variables it has, where that is known. */
  count: number | undefined;
  isEnding: boolean;
  /** Whether it is the first of its node. */
  isFirst: boolean;
}): React.ReactElement {
  const given = givenName(session);
  const title = given ?? notebook ?? session.session.slice(0, SHORT);
  const word = isEnding ? trans.__('ending') : activity(session, trans);
  return (
    <>
      {isFirst && (
        <div className="jp-EasyRemote-group" dir="auto">
          {session.node_id}
        </div>
      )}
      <div
        className="jp-EasyRemote-sessionHead"
        title={[notebook, session.session, word].filter(Boolean).join('\n')}
      >
        <StateShape
          shape={isEnding ? 'doubt' : session.busy ? 'well' : 'waiting'}
        />
        <span className="jp-EasyRemote-sessionName" dir="auto">
          {title}
        </span>
        {given !== null && notebook !== null && (
          <span className="jp-EasyRemote-aside jp-mod-second" dir="auto">
            {notebook}
          </span>
        )}
        <span className="jp-EasyRemote-aside jp-mod-last">{word}</span>
        {!isEnding && (
          <span className="jp-EasyRemote-actions">
            <IconButton
              icon={refreshIcon}
              label={trans.__('Restart the session %1', title)}
              tabIndex={tabIndex}
              onClick={() => {
                onAsk('restart');
              }}
            />
            <IconButton
              icon={closeIcon}
              label={trans.__('End the session %1', title)}
              tabIndex={tabIndex}
              onClick={() => {
                onAsk('end');
              }}
            />
          </span>
        )}
      </div>
      {asked !== null && (
        <Confirm
          key={asked.action}
          text={[asked.text, losses(session, count, trans)]
            .filter(Boolean)
            .join(' ')}
          action={wordOf(asked, trans)}
          isUnasked={asked.action === 'release'}
          onYes={onYes}
          onNo={onNo}
          trans={trans}
        />
      )}
    </>
  );
}

export function VariableRow({
  variable,
  tabIndex,
  asked,
  onAsk,
  onPull,
  onYes,
  onNo,
  trans
}: IAskingRow & {
  variable: IVariable;
  onPull: () => void;
}): React.ReactElement {
  const { name, size, text } = variable;
  return (
    <>
      <div className="jp-EasyRemote-variable" title={`${name} = ${text}`}>
        <span className="jp-EasyRemote-function" dir="auto">
          {name}
        </span>
        <span className="jp-EasyRemote-aside jp-mod-second">
          {typeText(variable)}
        </span>
        <span className="jp-EasyRemote-aside jp-mod-last">{bytes(size)}</span>
        <span className="jp-EasyRemote-actions">
          {isName(variable) && (
            <IconButton
              icon={downloadIcon}
              label={trans.__('Bring %1 into the notebook', name)}
              tabIndex={tabIndex}
              onClick={onPull}
            />
          )}
          <IconButton
            icon={deleteIcon}
            label={trans.__('Delete %1', name)}
            tabIndex={tabIndex}
            onClick={() => {
              onAsk('delete');
            }}
          />
        </span>
      </div>
      {asked !== null && (
        <Confirm
          text={trans.__('%1 is lost there.', name)}
          action={trans.__('Delete')}
          onYes={onYes}
          onNo={onNo}
          trans={trans}
        />
      )}
    </>
  );
}

/** Why there are no variables, or that they are not the newest. */
export function NoteRow({ text }: { text: string }): React.ReactElement {
  return (
    <div className="jp-EasyRemote-variable" title={text}>
      <span className="jp-EasyRemote-aside">{text}</span>
    </div>
  );
}

/** The word on the button. */
function wordOf({ action }: IQuestion, trans: TranslationBundle): string {
  switch (action) {
    case 'restart':
      return trans.__('Restart');
    case 'release':
      return trans.__('Release');
    default:
      return trans.__('End');
  }
}

function activity(session: ISession, trans: TranslationBundle): string {
  if (!session.busy) {
    const idle = elapsed(session.idle, session.heard, Date.now());
    return trans.__('idle for %1', roughly(idle));
  }
  return session.waiting === 0
    ? trans.__('running')
    : trans.__('running, %1 waiting', session.waiting);
}

/** What is lost with a session. */
function losses(
  { busy }: ISession,
  count: number | undefined,
  trans: TranslationBundle
): string {
  if (busy) {
    return trans.__('The running cell is stopped; all variables are lost.');
  }
  if (count === 0) {
    return trans.__('Nothing is lost: it has no variables.');
  }
  return count === undefined
    ? trans.__('Its variables are lost.')
    : trans._n('%1 variable is lost.', '%1 variables are lost.', count, count);
}
