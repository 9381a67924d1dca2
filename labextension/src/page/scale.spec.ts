import { describe, expect, it } from 'vitest';
import { peak, scaled, top } from './scale';

describe('the scale of a chart', () => {
  it.each([
    [[], 10],
    [[3, null], 10],
    [[11], 20],
    [[50], 50],
    [[51, 700], 1000],
    [[1234], 2000]
  ])('for %j ends at %d', (series, expected) => {
    expect(top(series)).toBe(expected);
  });

  it('is the same for both lines', () => {
    expect(top([1], [300])).toBe(500);
    expect(scaled([250, null, 500], 500)).toEqual([50, null, 100]);
  });

  it('has a highest value, if any is known', () => {
    expect(peak([null, 3, 7])).toBe(7);
    expect(peak([null])).toBeNull();
  });
});
