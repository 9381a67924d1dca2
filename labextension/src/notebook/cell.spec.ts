import { describe, expect, it } from 'vitest';
import { remoteCell } from './cell';

describe('a cell for a node', () => {
  it.each([
    ['gpu-node', '%%remote gpu-node\n'],
    ['two words', '%%remote "two words"\n'],
    ['a"b', '%%remote "a\\"b"\n']
  ])('names %j so that the magic finds it', (nodeId, source) => {
    expect(remoteCell(nodeId).source).toBe(source);
  });
});
