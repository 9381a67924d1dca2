import { describe, expect, it } from 'vitest';
import { firstOfGroups, treeRows } from './rows';

describe('the rows of a tree', () => {
  it('are the items, each followed by what stands below it', () => {
    const rows = treeRows(['a', 'b'], item =>
      item === 'a' ? ['a1', 'a2'] : undefined
    );
    const plain = rows.map(each => [
      each.item,
      each.level,
      each.position,
      each.size
    ]);
    expect(plain).toEqual([
      ['a', 1, 1, 2],
      ['a1', 2, 1, 2],
      ['a2', 2, 2, 2],
      ['b', 1, 2, 2]
    ]);
  });
});

describe('the first of each group', () => {
  it('has one of another group before it, or none', () => {
    const items = ['a1', 'a2', 'b1', 'c1', 'c2'];
    const firsts = firstOfGroups(items, item => item[0]);
    expect([...firsts]).toEqual(['a1', 'b1', 'c1']);
  });
});
