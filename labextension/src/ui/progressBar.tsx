/** A progress bar alone; of an unknown share it is striped. */

import * as React from 'react';

export function ProgressBar({
  share,
  label,
  text
}: {
  share: number | null;
  label: string;
  text: string;
}): React.ReactElement {
  return (
    <div
      className={`jp-EasyRemote-bar${share === null ? ' jp-mod-unknown' : ''}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={share === null ? undefined : Math.round(share * 100)}
      aria-valuetext={text}
    >
      <div style={{ transform: `scaleX(${share ?? 0})` }} />
    </div>
  );
}
