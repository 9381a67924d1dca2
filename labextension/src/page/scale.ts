/** The scale of a chart whose values have no known maximum. No DOM. */

import { Series } from '../core/protocol';

/** kB a second: less than this is the background traffic of any machine. */
const LEAST = 10;

/** The next of 1, 2, 5, 10, 20 … that no value exceeds. */
export function top(...all: Series[]): number {
  const highest = Math.max(LEAST, ...all.flat().map(value => value ?? 0));
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 5, 10]
    .map(step => step * power)
    .find(each => each >= highest) as number;
}

/** Values as percents of the top. */
export function scaled(series: Series, whole: number): Series {
  return series.map(value => (value === null ? null : (100 * value) / whole));
}

/** The highest value that is known, or null. */
export function peak(series: Series): number | null {
  const known = series.filter(value => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}
