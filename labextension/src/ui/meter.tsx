/** A labelled bar with its value in words. */

import * as React from 'react';
import { Series } from '../core/protocol';
import { Sparkline } from './sparkline';

/** From this share on the bar of a resource that can run out has a warning colour. */
const NEARLY_FULL = 0.9;

export interface IMeterProps {
  label: string;
  /** The label for those who hear it: "CPU of gpu-node". */
  name: string;
  /** 0 to 1; null where the node can't tell. */
  value: number | null;
  /** The value as people read it. */
  text: string;
  /** Whether it can run out, as memory can; a busy processor is no reason to warn. */
  runsOut?: boolean;
  /** The last five minutes of it. */
  series: Series;
}

export function Meter({
  label,
  name,
  value,
  text,
  runsOut = false,
  series
}: IMeterProps): React.ReactElement {
  const share = Math.min(Math.max(value ?? 0, 0), 1);
  const full = runsOut && share >= NEARLY_FULL ? ' jp-mod-full' : '';
  return (
    <div className={`jp-EasyRemote-meter${full}`}>
      <span aria-hidden>{label}</span>
      <div
        className="jp-EasyRemote-bar"
        role="progressbar"
        aria-label={name}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={value === null ? undefined : Math.round(share * 100)}
        aria-valuetext={text}
      >
        <div style={{ transform: `scaleX(${share})` }} />
      </div>
      <Sparkline series={series} />
      <span aria-hidden>{text}</span>
    </div>
  );
}
