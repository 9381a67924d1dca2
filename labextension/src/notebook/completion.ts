/** Which nodes could be named where the cursor stands in a cell. No DOM. */

import { quoted } from './cell';
import { targetIn, VALUED, wordsOf } from './line';

/** The other names that a target can have: `any` means whichever node will do. */
const ANY = 'any';
/** As `completion.py` has it; a cell magic is one in the first line alone. */
const LINE = /^\s*(?:[^\W\d][\w.]*\s*=\s*)?(%%?)(remote\w*)\s(.*)$/;
/** Companions that take no node. */
const WITHOUT_TARGET = /^remote_(?:cancel|job|jobs|nodes|panel)$/;

/** A text that replaces the end of the cell's text. */
export interface ICompletions {
  /** How much of the end is replaced. */
  fragment: string;
  texts: string[];
}

/** The names that fit the text before the cursor; null if no name belongs there. */
export function completions(
  before: string,
  nodes: readonly string[]
): ICompletions | null {
  const lines = before.trimStart().split('\n');
  const found = LINE.exec(lines[lines.length - 1]);
  if (found === null) {
    return null;
  }
  const [, signs, magic, rest] = found;
  if (
    WITHOUT_TARGET.test(magic) ||
    (signs === '%%' && !(lines.length === 1 && magic === 'remote'))
  ) {
    return null;
  }
  const words = wordsOf(rest);
  const fragment = /\s$/.test(rest) || rest === '' ? '' : (words.pop() ?? '');
  const isValue = VALUED.includes(words.at(-1) ?? '');
  if (isValue || targetIn(words) >= 0 || fragment.startsWith('-')) {
    return null;
  }
  const begun = fragment.replace(/^['"]/, '');
  const texts = [...nodes, ANY]
    .filter(name => name.startsWith(begun))
    .map(quoted);
  return { fragment, texts };
}
