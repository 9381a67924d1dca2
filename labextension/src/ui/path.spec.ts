import { describe, expect, it } from 'vitest';
import { path } from './path';

const draw = (series: (number | null)[]) => path(series, 20, 4, 11.5);

describe('the line of a sparkline', () => {
  it('goes from the bottom for 0 to the top for 100', () => {
    expect(draw([0, 0, 0, 0, 0, 100, 100, 100, 100, 100])).toBe(
      'M3 10.75L4 0.75'
    );
  });

  it('shows the highest of a few samples, so that no peak is lost', () => {
    expect(draw([0, 100, 0, 0, 0])).toBe('M4 0.75h0');
  });

  it('ends at the right edge, however few samples there are', () => {
    expect(draw([50])).toBe('M4 5.75h0');
    expect(draw([])).toBe('');
  });

  it('leaves a gap where nothing is known', () => {
    const gap = new Array<null>(5).fill(null);
    const half = new Array<number>(5).fill(50);
    expect(draw([...half, ...gap, ...half])).toBe('M2 5.75h0M4 5.75h0');
  });
});
