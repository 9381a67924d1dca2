/** The rows of a list or a tree of two levels, in the order in which they stand. */

export interface ITreeRow<T> {
  item: T;
  level: 1 | 2;
  /** Among those of its level, from 1, and how many these are. */
  position: number;
  size: number;
}

/** Items, each with what stands below it at this moment. */
export function treeRows<T>(
  items: readonly T[],
  childrenOf: (item: T) => readonly T[] | undefined
): ITreeRow<T>[] {
  return level(items, 1).flatMap(row => [
    row,
    ...level(childrenOf(row.item) ?? [], 2)
  ]);
}

/** Those before which a group begins: the one before them is of another. */
export function firstOfGroups<T>(
  items: readonly T[],
  groupOf: (item: T) => string
): ReadonlySet<T> {
  return new Set(
    items.filter(
      (item, row) => row === 0 || groupOf(item) !== groupOf(items[row - 1])
    )
  );
}

function level<T>(items: readonly T[], level: 1 | 2): ITreeRow<T>[] {
  return items.map((item, index) => ({
    item,
    level,
    position: index + 1,
    size: items.length
  }));
}
