import { describe, expect, it } from 'vitest';
import { INode } from '../core/protocol';
import { Choice, select } from './select';

const ALL: Choice = { sort: 'name', onlyOnline: false, onlyGpu: false };

function node(node_id: string, rest: Partial<INode> = {}): INode {
  const base = { state: 'online', labels: [], functions: [], gpus: [] };
  return { ...base, cpu: 0.1, node_id, ...rest } as unknown as INode;
}

const A100 = { name: 'NVIDIA A100', use: 0.9, memory_used: 1, memory_total: 2 };
const NODES = [
  node('node-10', { cpu: 0.5 }),
  node('node-2', { gpus: [A100], labels: ['lab'] }),
  node('Attic', { state: 'offline', cpu: null, functions: ['train'] })
];

function names(query = '', choice: Partial<Choice> = {}): string[] {
  return select(NODES, query, { ...ALL, ...choice }).map(each => each.node_id);
}

describe('select', () => {
  it('orders by name as people count, whatever the case', () => {
    expect(names()).toEqual(['Attic', 'node-2', 'node-10']);
  });

  it('puts the busiest first, GPUs included, and what is offline last', () => {
    expect(names('', { sort: 'load' })).toEqual(['node-2', 'node-10', 'Attic']);
  });

  it('keeps those that are online, or have a GPU, or both', () => {
    expect(names('', { onlyOnline: true })).toEqual(['node-2', 'node-10']);
    expect(names('', { onlyGpu: true })).toEqual(['node-2']);
  });

  it.each([
    ['NODE', ['node-2', 'node-10']],
    ['10 online', ['node-2', 'node-10']],
    ['node-10', ['node-10']],
    ['a100', ['node-2']],
    ['lab', ['node-2']],
    ['train', ['Attic']],
    ['offline', ['Attic']],
    ['  ', ['Attic', 'node-2', 'node-10']],
    ['node a100 attic', []]
  ])('finds by all words of %j', (query, found) => {
    expect(names(query)).toEqual(found);
  });

  it('leaves the list that it was given alone', () => {
    names('', { sort: 'load' });
    expect(NODES.map(each => each.node_id)).toEqual([
      'node-10',
      'node-2',
      'Attic'
    ]);
  });
});
