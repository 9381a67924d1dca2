/** A question in place of the buttons: answered by mouse, or with Enter and Escape. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

/** Its height in pixels, as `style/sessions.css` has it: lists must know before they draw. */
export const CONFIRM_HEIGHT = 50;
/** The same of a question that comes from somebody else. */
export const UNASKED_HEIGHT = 110;

export function Confirm({
  text,
  action,
  isUnasked = false,
  onYes,
  onNo,
  trans
}: {
  text: string;
  /** The label of the button that does it. */
  action: string;
  /** Whether it comes from somebody else: then all of it is shown, and Enter does not answer it. */
  isUnasked?: boolean;
  onYes: () => void;
  onNo: () => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const close = (element: Element, act: () => void) => {
    // When the buttons go, the focus moves to the row.
    element.closest<HTMLElement>('[role="treeitem"]')?.focus();
    act();
  };
  const button = (label: string, act: () => void, isFirst: boolean) => (
    <button
      autoFocus={isFirst}
      onClick={event => {
        event.stopPropagation();
        close(event.currentTarget, act);
      }}
    >
      {label}
    </button>
  );
  return (
    <div
      className={`jp-EasyRemote-confirm ${isUnasked ? 'jp-mod-unasked' : ''}`}
      role="group"
      aria-label={text}
      onClick={event => {
        event.stopPropagation();
      }}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          close(event.currentTarget, onNo);
        }
      }}
    >
      <span title={text}>{text}</span>
      <div>
        {button(action, onYes, !isUnasked)}
        {button(trans.__('Keep'), onNo, false)}
      </div>
    </div>
  );
}
