/** A state as a shape, so that nobody has to see its colour. */

import * as React from 'react';

/** Disc: well. Ring: waits. Broken ring: in doubt. Tick: done. Cross: off. */
export type Shape = 'well' | 'waiting' | 'doubt' | 'done' | 'off';

const PATHS: Record<Shape, React.ReactElement> = {
  well: <circle cx="4" cy="4" r="3.5" fill="currentColor" />,
  waiting: <circle cx="4" cy="4" r="2.9" {...stroke('0')} />,
  doubt: <circle cx="4" cy="4" r="2.9" {...stroke('3 1.55')} />,
  done: <path d="M1 4.4l2.1 2.1L7.2 1.7" {...stroke('0')} />,
  off: <path d="M1.2 1.2l5.6 5.6M6.8 1.2l-5.6 5.6" {...stroke('0')} />
};

export function StateShape({
  shape,
  label
}: {
  shape: Shape;
  /** Its name, where no text beside it says the same. */
  label?: string;
}): React.ReactElement {
  const name = label
    ? { role: 'img', 'aria-label': label }
    : { 'aria-hidden': true };
  return (
    <svg
      className={`jp-EasyRemote-shape jp-mod-${shape}`}
      viewBox="0 0 8 8"
      {...name}
    >
      {PATHS[shape]}
    </svg>
  );
}

function stroke(strokeDasharray: string): {
  fill: string;
  stroke: string;
  strokeWidth: number;
  strokeDasharray: string;
} {
  return {
    fill: 'none',
    stroke: 'currentColor',
    strokeWidth: 1.2,
    strokeDasharray
  };
}
