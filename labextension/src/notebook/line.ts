/** The line of `%%remote` as text: its words, its target, another target. No DOM. */

import { quoted } from './cell';

/** Options that are followed by a value; `options.py` has them all, and a test compares the two. */
export const VALUED = [
  '-s',
  '--session',
  '--where',
  '-i',
  '--in',
  '-o',
  '--out',
  '--pull',
  '--file',
  '--with',
  '-t',
  '--timeout',
  '--queue-timeout',
  '--needs',
  '--notify',
  '--priority',
  '--bg',
  '--keep',
  '--on-disconnect',
  '--progress'
];

/** Blanks inside quotes don't part words; a quote that is left open goes on to the end. */
const WORD = /(?:'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$)|\\.|[^\s'"\\])+/g;
const MAGIC = /^%%(remote|local)(?=\s|$)(.*)$/;
/** The options that may have a value or none, and what a value of each looks like. */
const OPTIONAL: Record<string, RegExp | undefined> = {
  '--bg': /^[A-Za-z_]\w*$/,
  '--keep': /^\d/
};

/** A piece of a text to be replaced by another. */
export interface IEdit {
  start: number;
  end: number;
  text: string;
}

/** Where one of the words stands that is the target, -1 where none is. */
export function targetIn(words: readonly string[]): number {
  for (let at = 0; at < words.length; at++) {
    if (!words[at].startsWith('-')) {
      return at;
    }
    at += takesNext(words[at], words.at(at + 1)) ? 1 : 0;
  }
  return -1;
}

export function wordsOf(text: string): string[] {
  return text.match(WORD) ?? [];
}

/**
 * The edit that makes a cell run on the node: a line of `%%remote` keeps all but
 * its node and `--where`, which would choose another node; a cell without such a
 * line, or with `%%local`, gets one.
 */
export function retargeted(source: string, nodeId: string): IEdit {
  let start = source.length - source.trimStart().length;
  for (const line of source.slice(start).split('\n')) {
    const [whole, magic, rest] = MAGIC.exec(line) ?? [];
    if (whole !== undefined) {
      const text = remoteLine(nodeId, magic === 'remote' ? wordsOf(rest) : []);
      return { start, end: start + line.length, text };
    }
    if (!line.startsWith('%%')) {
      break; // code: a magic after it is not at the top of the cell
    }
    start += line.length + 1;
  }
  return { start: 0, end: 0, text: `${remoteLine(nodeId, [])}\n` };
}

/** The line for a node with the options, and the session, of another one. */
function remoteLine(nodeId: string, words: string[]): string {
  const place = targetIn(words);
  const session = words.at(place)?.match(/\/[^'"]*/)?.[0] ?? '';
  const target = quoted(nodeId) + (place < 0 ? '' : session);
  const options = words.filter(
    (word, at) =>
      at !== place && !/^--where(=|$)/.test(word) && words[at - 1] !== '--where'
  );
  return ['%%remote', target, ...options].join(' ');
}

/** Whether an option has the next word for its value: `--bg` and `--keep` may have none. */
function takesNext(option: string, next: string | undefined): boolean {
  if (!VALUED.includes(option) || next === undefined) {
    return false;
  }
  return OPTIONAL[option]?.test(next) ?? true;
}
