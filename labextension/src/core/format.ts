/** Numbers as people read them. */

const GIB = 2 ** 30;
const SCALES: [number, string][] = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k']
];
const UNITS: [number, string][] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min']
];

/** `42 %`, with a thin space that does not break. */
export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)}\u202f%`;
}

/** `3.1 / 8.0 GiB`. */
export function memory(used: number, total: number): string {
  return `${gib(used)} / ${gib(total)}\u202fGiB`;
}

/** `28 B`, `1.2 kB`, `2.4 GB`: a size, at a glance. */
export function bytes(size: number): string {
  const [least, letter] = SCALES.find(([least]) => size >= least) ?? [1, ''];
  return `${significant(size / least)}\u202f${letter}B`;
}

/** `45 s`, `3 min`, `2 h`, `4 d`: how long, at a glance. */
export function roughly(seconds: number): string {
  for (const [size, unit] of UNITS) {
    if (seconds >= size) {
      return `${Math.floor(seconds / size)}\u202f${unit}`;
    }
  }
  return `${Math.floor(seconds)}\u202fs`;
}

/** `12.5 s`, `3.2 min`, `40.5 h`: how long something took in all. */
export function duration(seconds: number): string {
  if (seconds > 0 && seconds < 1) {
    return milliseconds(seconds);
  }
  const [size, unit] = UNITS.slice(1).find(([size]) => seconds >= size) ?? [
    1,
    's'
  ];
  return `${significant(seconds / size)}\u202f${unit}`;
}

/** `0.4 ms`, `23 ms`: how long something takes that is quick. */
export function milliseconds(seconds: number): string {
  const value = 1000 * seconds;
  return `${value.toFixed(value < 9.95 ? 1 : 0)}\u202fms`;
}

/** `0:45`, `3:20`, `2:05:00`: a stopwatch. */
export function stopwatch(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = two(whole % 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

function gib(bytes: number): string {
  const value = bytes / GIB;
  return value.toFixed(value < 100 ? 1 : 0);
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

/** `12`, `0.25`, `1.2k`: a count, in thousands and millions where it is scaled. */
export function amount(value: number, isScaled: boolean): string {
  const size = Math.abs(value);
  if (isScaled) {
    for (const [least, letter] of SCALES) {
      if (size >= least) {
        return `${significant(value / least)}${letter}`;
      }
    }
  }
  return significant(value);
}

function significant(value: number): string {
  return Number.isInteger(value) || Math.abs(value) >= 1000
    ? String(Math.round(value))
    : String(Number(value.toPrecision(3)));
}
