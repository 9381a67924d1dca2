/** The progress bars of a job, the inner ones below the outer. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IBar, IBars } from '../core/protocol';
import { ProgressBar } from '../ui/progressBar';
import { barDetails, barShare, barText } from './jobs';

/** Bars that are shown before the row is opened. */
const FEW = 3;

/** The bars that a row shows, how many lines that takes, and how many more there are. */
export function shownBars(
  { bars, count }: IBars,
  isExpanded: boolean
): { shown: IBar[]; rest: number; lines: number } {
  const shown = isExpanded ? bars : bars.slice(0, FEW);
  const rest = count - shown.length;
  return { shown, rest, lines: shown.length + (rest > 0 ? 1 : 0) };
}

export function JobBars({
  bars,
  isExpanded,
  trans
}: {
  bars: IBars;
  isExpanded: boolean;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { shown, rest, lines } = shownBars(bars, isExpanded);
  if (lines === 0) {
    return null;
  }
  return (
    <div className="jp-EasyRemote-jobBars">
      {shown.map((bar, index) => (
        <JobBar key={bar.id} bar={bar} depth={index} trans={trans} />
      ))}
      {rest > 0 && (
        <div className="jp-EasyRemote-jobBar">
          <span>{trans._n('%1 more bar', '%1 more bars', rest, rest)}</span>
        </div>
      )}
    </div>
  );
}

function JobBar({
  bar,
  depth,
  trans
}: {
  bar: IBar;
  depth: number;
  trans: TranslationBundle;
}): React.ReactElement {
  const share = barShare(bar);
  const text = barText(bar);
  const name = bar.desc || trans.__('progress');
  const indent = Math.min(Math.min(depth, bar.position), 3);
  return (
    <div
      className={`jp-EasyRemote-jobBar jp-mod-${bar.state}`}
      style={{ paddingLeft: 8 * indent }}
      title={`${name}: ${barDetails(bar)}`}
    >
      <span aria-hidden dir="auto">
        {name}
      </span>
      <ProgressBar share={share} label={name} text={text} />
      <span aria-hidden>{text}</span>
    </div>
  );
}
