import { describe, expect, it } from 'vitest';
import {
  bytes,
  duration,
  memory,
  milliseconds,
  percent,
  roughly,
  stopwatch
} from './format';

describe('format', () => {
  it('rounds a share to whole percents', () => {
    expect(percent(0.424)).toBe('42\u202f%');
    expect(percent(1)).toBe('100\u202f%');
  });

  it('gives memory one decimal, until that is noise', () => {
    expect(memory(3.14 * 2 ** 30, 8 * 2 ** 30)).toBe('3.1 / 8.0\u202fGiB');
    expect(memory(12 * 2 ** 30, 512 * 2 ** 30)).toBe('12.0 / 512\u202fGiB');
  });

  it.each([
    [0, '0\u202fB'],
    [999, '999\u202fB'],
    [1234, '1.23\u202fkB'],
    [2.4e9, '2.4\u202fGB']
  ])('says how large %d bytes are in their largest unit', (size, text) => {
    expect(bytes(size)).toBe(text);
  });

  it.each([
    [0, '0\u202fs'],
    [59.9, '59\u202fs'],
    [60, '1\u202fmin'],
    [7199, '1\u202fh'],
    [200_000, '2\u202fd']
  ])('says how long %d s are in its largest unit', (seconds, text) => {
    expect(roughly(seconds)).toBe(text);
  });

  it.each([
    [0, '0\u202fs'],
    [0.00343, '3.4\u202fms'],
    [45, '45\u202fs'],
    [145_800, '40.5\u202fh']
  ])('says how long %d s are in all', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it.each([
    [0.00042, '0.4\u202fms'],
    [0.0099, '9.9\u202fms'],
    [0.00996, '10\u202fms'],
    [0.2345, '235\u202fms']
  ])('says how many milliseconds %d s are', (seconds, text) => {
    expect(milliseconds(seconds)).toBe(text);
  });

  it.each([
    [-1, '0:00'],
    [9.9, '0:09'],
    [200, '3:20'],
    [7500, '2:05:00'],
    [360_000, '100:00:00']
  ])('shows %d s as a stopwatch does', (seconds, text) => {
    expect(stopwatch(seconds)).toBe(text);
  });
});
