import { describe, expect, it } from 'vitest';
import { completions } from './completion';

const NODES = ['gpu-node', 'gpu-2', 'two words'];

function texts(before: string): string[] | null {
  return completions(before, NODES)?.texts ?? null;
}

describe('the names of nodes', () => {
  it.each([
    ['%%remote ', ['gpu-node', 'gpu-2', '"two words"', 'any']],
    ['\n%%remote gpu-n', ['gpu-node']],
    ['%%remote -q gpu', ['gpu-node', 'gpu-2']],
    ['%%remote "two w', ['"two words"']],
    ['x = 1\ny = %remote gpu', ['gpu-node', 'gpu-2']],
    ['%remote_attach a', ['any']],
    ['x\n%remote_vars gpu-2', ['gpu-2']],
    ['%%remote nowhere', []]
  ])('are offered after %j', (before, expected) => {
    expect(texts(before)).toEqual(expected);
  });

  it.each([
    '%%remote',
    '%%remote gpu-node ',
    '%%remote gpu-node -o gpu',
    '%%remote -o gpu',
    '%%remote --',
    'x = 1\n%%remote gpu',
    '%%remote gpu-node\ngpu',
    '%remote_cancel gpu',
    '%%remote_attach gpu',
    'print(gpu'
  ])('are not after %j', before => {
    expect(texts(before)).toBe(null);
  });

  it('take the place of what was begun of them', () => {
    expect(completions('%%remote "two w', NODES)?.fragment).toBe('"two w');
    expect(completions('%%remote ', NODES)?.fragment).toBe('');
  });
});
