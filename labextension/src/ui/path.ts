/** The line of a sparkline, as the `d` of an SVG path. */

import { Series } from '../core/protocol';

/** The line is a pixel thick: half of it lies beyond its middle. */
const MARGIN = 0.75;

/** A series that ends at the right edge; what is not known is a gap. */
export function path(
  series: Series,
  length: number,
  width: number,
  height: number,
  /** Points closer than pixels show nothing more: each is the highest of a few samples. */
  samplesAPoint = 5
): string {
  const step = (width * samplesAPoint) / length;
  const points = highest(series, samplesAPoint);
  const left = width - (points.length - 1) * step;
  let isDown = false;
  return points
    .map((value, index) => {
      if (value === null) {
        isDown = false;
        return '';
      }
      const x = left + index * step;
      const y = MARGIN + (1 - value / 100) * (height - 2 * MARGIN);
      const point = `${round(x)} ${round(y)}`;
      const isAlone = !isDown && (points[index + 1] ?? null) === null;
      const letter = isDown ? 'L' : 'M';
      isDown = true;
      return `${letter}${point}${isAlone ? 'h0' : ''}`; // a dot
    })
    .join('');
}

/** The highest of each few samples, counted from the newest. */
function highest(series: Series, count: number): Series {
  const points: Series = [];
  for (let end = series.length; end > 0; end -= count) {
    const known = series
      .slice(Math.max(end - count, 0), end)
      .filter(value => value !== null);
    points.unshift(known.length > 0 ? Math.max(...known) : null);
  }
  return points;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
