/** A button that is only an icon, with a label for those who don't see it. */

import { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

export function IconButton({
  icon,
  label,
  isPressed,
  tabIndex = 0,
  onClick
}: {
  icon: LabIcon;
  label: string;
  /** Whether it is on, where it is a switch. */
  isPressed?: boolean;
  tabIndex?: 0 | -1;
  onClick: () => void;
}): React.ReactElement {
  return (
    <button
      className="jp-EasyRemote-iconButton"
      title={label}
      aria-label={label}
      aria-pressed={isPressed}
      tabIndex={tabIndex}
      onClick={event => {
        event.stopPropagation();
        onClick();
      }}
    >
      <icon.react tag="span" width="14px" height="14px" />
    </button>
  );
}
