import { describe, expect, it } from 'vitest';
import { moved, offsets, reveal, visible } from './window';

const TOPS = offsets(Array.from({ length: 1000 }, () => 50));

describe('a window on a long list', () => {
  it('adds up heights that differ', () => {
    expect(offsets([10, 30, 20])).toEqual([0, 10, 40, 60]);
    expect(offsets([])).toEqual([0]);
  });

  it('draws what can be seen, and no more', () => {
    expect(visible(TOPS, 0, 200, 0)).toEqual([0, 5]);
    expect(visible(TOPS, 5025, 200, 0)).toEqual([100, 105]);
    expect(visible(TOPS, 5025, 200)).toEqual([97, 108]);
  });

  it('ends with the list, wherever it is scrolled to', () => {
    expect(visible(TOPS, 49_900, 200)).toEqual([995, 1000]);
    expect(visible(TOPS, 90_000, 200)[1]).toBe(1000);
    expect(visible([0], 0, 200)).toEqual([0, 0]);
  });

  it('scrolls as little as shows the row', () => {
    expect(reveal(TOPS, 2, 0, 200)).toBe(0);
    expect(reveal(TOPS, 10, 0, 200)).toBe(350);
    expect(reveal(TOPS, 10, 5000, 200)).toBe(500);
  });

  it.each([
    ['ArrowDown', 0, 1],
    ['ArrowDown', 9, 9],
    ['ArrowUp', 0, 0],
    ['PageDown', 2, 9],
    ['Home', 5, 0],
    ['End', 5, 9],
    ['x', 5, null]
  ])('%s leads from %d to %d of ten', (key, from, to) => {
    expect(moved(key, from, 10)).toBe(to);
  });
});
