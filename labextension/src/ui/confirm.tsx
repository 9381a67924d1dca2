/** A question in place of the buttons: answered by mouse, or with Enter and Escape. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

/** Its height in pixels, as `style/sessions.css` has it: lists must know before they draw. */
export const CONFIRM_HEIGHT = 50;

export function Confirm({
  text,
  action,
  onYes,
  onNo,
  trans
}: {
  text: string;
  /** The label of the button that does it. */
  action: string;
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
      className="jp-EasyRemote-confirm"
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
        {button(action, onYes, true)}
        {button(trans.__('Keep'), onNo, false)}
      </div>
    </div>
  );
}
