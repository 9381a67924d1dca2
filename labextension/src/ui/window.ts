/** Which rows of a long list can be seen, and where the arrow keys lead. */

/** Where each row begins; the last number is where the list ends. */
export function offsets(heights: readonly number[]): number[] {
  const tops = [0];
  for (const height of heights) {
    tops.push(tops[tops.length - 1] + height);
  }
  return tops;
}

/** The range of rows that can be seen, and a few more on both sides. */
export function visible(
  tops: readonly number[],
  scroll: number,
  height: number,
  extra = 3
): [number, number] {
  const count = tops.length - 1;
  const first = Math.max(rowAt(tops, scroll) - extra, 0);
  return [first, Math.min(rowAt(tops, scroll + height) + 1 + extra, count)];
}

/** How far to scroll so that a row shows whole. */
export function reveal(
  tops: readonly number[],
  row: number,
  scroll: number,
  height: number
): number {
  return Math.min(Math.max(scroll, tops[row + 1] - height), tops[row]);
}

/** The row that a key leads to, or null if the key does not move. */
export function moved(key: string, row: number, count: number): number | null {
  const steps: Partial<Record<string, number>> = {
    ArrowDown: row + 1,
    ArrowUp: row - 1,
    PageDown: row + 10,
    PageUp: row - 10,
    Home: 0,
    End: count - 1
  };
  const target = steps[key];
  return target === undefined ? null : Math.min(Math.max(target, 0), count - 1);
}

/** The row at a height: the last one that begins there or above. */
function rowAt(tops: readonly number[], y: number): number {
  let [low, high] = [0, tops.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= y) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}
