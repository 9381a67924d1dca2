/** Five minutes of one meter as a line. */

import * as React from 'react';
import { LENGTH } from '../core/merge';
import { Series } from '../core/protocol';
import { path } from './path';

const WIDTH = 60;
const HEIGHT = 14;

export function Sparkline({ series }: { series: Series }): React.ReactElement {
  return (
    <svg
      className="jp-EasyRemote-sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden
    >
      <path d={path(series, LENGTH, WIDTH, HEIGHT)} />
    </svg>
  );
}
