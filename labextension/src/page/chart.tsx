/** Five minutes of one meter, or of two, on a scale. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { LENGTH } from '../core/merge';
import { Series } from '../core/protocol';
import { path } from '../ui/path';

const WIDTH = 300;
const HEIGHT = 72;

export interface ILine {
  /** Percents of the top of the scale. */
  series: Series;
  /** What it is, where there are two; the second is dashed. */
  label?: string;
  /** How it is now, for people. */
  text: string;
}

export function Chart({
  title,
  detail,
  name,
  lines,
  top,
  trans
}: {
  title: string;
  /** What it is of, where the title does not say it. */
  detail?: string;
  /** A description for screen readers. */
  name: string;
  lines: ILine[];
  /** What the top of the scale stands for. */
  top: string;
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <figure className="jp-EasyRemote-chart">
      <figcaption>
        <span>{title}</span>
        {detail && (
          <span className="jp-EasyRemote-aside" title={detail}>
            {detail}
          </span>
        )}
        {lines.map(({ label, text }, index) => (
          <span key={index} className="jp-EasyRemote-chartValue">
            {label && <Key isDashed={index > 0} />}
            {label} {text}
          </span>
        ))}
      </figcaption>
      <div className="jp-EasyRemote-plot">
        <div aria-hidden>
          <span>{top}</span>
          <span>0</span>
        </div>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={name}
        >
          <path
            className="jp-EasyRemote-grid"
            d={`M0 .5h${WIDTH}M0 ${HEIGHT / 2}h${WIDTH}M0 ${HEIGHT - 0.5}h${WIDTH}`}
          />
          {lines.map(({ series }, index) => (
            <path
              key={index}
              className={index > 0 ? 'jp-mod-dashed' : ''}
              d={path(series, LENGTH, WIDTH, HEIGHT, 1)}
            />
          ))}
        </svg>
      </div>
      <div className="jp-EasyRemote-times" aria-hidden>
        <span>{trans.__('5 minutes ago')}</span>
        <span>{trans.__('now')}</span>
      </div>
    </figure>
  );
}

/** The legend of a chart with two lines. */
function Key({ isDashed }: { isDashed: boolean }): React.ReactElement {
  return (
    <svg className="jp-EasyRemote-key" viewBox="0 0 16 8" aria-hidden>
      <path className={isDashed ? 'jp-mod-dashed' : ''} d="M0 4h16" />
    </svg>
  );
}
