import { describe, expect, it } from 'vitest';
import { retargeted, targetIn, wordsOf } from './line';

function made(source: string, nodeId = 'gpu-node'): string {
  const { start, end, text } = retargeted(source, nodeId);
  return source.slice(0, start) + text + source.slice(end);
}

describe('a cell that is made one for a node', () => {
  it.each([
    ['x = 1', '%%remote gpu-node\nx = 1'],
    ['', '%%remote gpu-node\n'],
    ['%%remote\nx', '%%remote gpu-node\nx'],
    ['%%remote other\nx', '%%remote gpu-node\nx'],
    ['\n\n%%remote other\nx', '\n\n%%remote gpu-node\nx'],
    ['%%remote other -o a,b -t 60\nx', '%%remote gpu-node -o a,b -t 60\nx'],
    ['%%remote -o a,b other -q\nx', '%%remote gpu-node -o a,b -q\nx'],
    ['%%remote -t 60\nx', '%%remote gpu-node -t 60\nx'],
    ['%%remote --bg fit other\nx', '%%remote gpu-node --bg fit\nx'],
    ['%%remote --bg gpu-2\nx', '%%remote gpu-node --bg\nx'],
    ['%%remote --pull=1M other\nx', '%%remote gpu-node --pull=1M\nx'],
    ['%%remote other/train -q\nx', '%%remote gpu-node/train -q\nx'],
    ["%%remote any --where 'gpu>=1, lab' -q\nx", '%%remote gpu-node -q\nx'],
    ['%%remote --where=gpu -q\nx', '%%remote gpu-node -q\nx'],
    ['%%remote "two words" -q\nx', '%%remote gpu-node -q\nx'],
    ['%%remote $where -q\nx', '%%remote gpu-node -q\nx'],
    ['%%local\nx', '%%remote gpu-node\nx'],
    ['%%time\nx', '%%remote gpu-node\n%%time\nx'],
    ['%%time\n%%remote other\nx', '%%time\n%%remote gpu-node\nx'],
    ['x\n%%remote other', '%%remote gpu-node\nx\n%%remote other'],
    ['%%remotely\nx', '%%remote gpu-node\n%%remotely\nx']
  ])('%j becomes %j', (source, expected) => {
    expect(made(source)).toBe(expected);
  });

  it('names a node of two words in quotes', () => {
    expect(made('%%remote other/fit\nx', 'two words')).toBe(
      '%%remote "two words"/fit\nx'
    );
  });

  it('is as it was when it is made one for the node again', () => {
    const once = made('%%remote other/fit --bg gpu-2 -o "a b"\nx');
    expect(made(once)).toBe(once);
  });
});

describe('the words of a line', () => {
  it('are not parted within quotes, and the target is the first without a dash', () => {
    const words = wordsOf(` -i 'a, b' --quiet gpu-node "left open`);
    expect(words).toEqual([
      '-i',
      "'a, b'",
      '--quiet',
      'gpu-node',
      '"left open'
    ]);
    expect(targetIn(words)).toBe(3);
    expect(targetIn(['-i', 'a'])).toBe(-1);
  });
});
