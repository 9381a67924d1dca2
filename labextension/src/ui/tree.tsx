/** A long list as a tree: only what can be seen is drawn, and arrow keys move through it. */

import * as React from 'react';
import { ITreeRow, treeRows } from './rows';
import { moved, offsets, reveal, visible } from './window';

/** Rows that are drawn before the height of the list is known. */
const FIRST_HEIGHT = 600;

export interface IRow {
  isExpanded: boolean;
  /** Where the buttons of the row stand in the order of the tab key. */
  tabIndex: 0 | -1;
}

export interface ITreeProps<T> {
  items: readonly T[];
  keyOf: (item: T) => string;
  nameOf: (item: T) => string;
  /** Rows have a height that their content alone gives. */
  heightOf: (item: T, isExpanded: boolean) => number;
  render: (item: T, row: IRow) => React.ReactElement;
  label: string;
  className: string;
  /** What the rows are: each has its key as `data-KIND`, for menus. */
  kind: 'node' | 'job' | 'function' | 'session';
  /** The rows below an expanded item; without it, only the item itself grows. */
  childrenOf?: (item: T) => readonly T[];
  /** Which items are expanded, by key, if the owner has to know. */
  expanded?: ReadonlySet<string>;
  onExpand?: (item: T, isExpanded: boolean) => void;
  /** What Enter does; without it, Enter expands the row. */
  onEnter?: (item: T) => void;
  /** What Alt+Enter and a double click do. */
  onOpen?: (item: T) => void;
  onCopy: (item: T) => void;
  onDelete?: (item: T) => void;
  onDragStart?: (item: T, event: React.DragEvent) => void;
}

export function Tree<T>(props: ITreeProps<T>): React.ReactElement {
  const { items, keyOf, heightOf, label } = props;
  const [own, setOwn] = React.useState<ReadonlySet<string>>(new Set());
  const expanded = props.expanded ?? own;
  const [active, setActive] = React.useState<string | null>(null);
  const { box, scroll, height, onScroll } = useScroll();
  const all = treeRows(items, item =>
    expanded.has(keyOf(item)) ? props.childrenOf?.(item) : undefined
  );
  const tops = offsets(
    all.map(({ item }) => heightOf(item, expanded.has(keyOf(item))))
  );
  const [first, last] = visible(tops, scroll, height);
  const activeRow = Math.max(
    all.findIndex(({ item }) => keyOf(item) === active),
    0
  );
  const drawn = all.map((_, row) => row).slice(first, last);
  if (all.length > 0 && (activeRow < first || activeRow >= last)) {
    drawn.push(activeRow); // the tab key must reach it
  }

  const expand = ({ item, level }: ITreeRow<T>, isExpanded: boolean) => {
    if (level > 1) {
      return;
    }
    const next = new Set(own);
    if (isExpanded) {
      next.add(keyOf(item));
    } else {
      next.delete(keyOf(item));
    }
    setOwn(next);
    props.onExpand?.(item, isExpanded);
  };

  const move = (row: number) => {
    setActive(keyOf(all[row].item));
    box.current?.scrollTo({ top: reveal(tops, row, scroll, height) });
    // The row may be drawn only now.
    requestAnimationFrame(() => {
      box.current?.querySelector<HTMLElement>(`[data-row="${row}"]`)?.focus();
    });
  };

  // When the row with the focus goes, the next row gets the focus.
  const focused = React.useRef(-1);
  React.useEffect(() => {
    const isLost = document.activeElement === document.body;
    if (focused.current >= 0 && isLost && all.length > 0) {
      move(Math.min(focused.current, all.length - 1));
    }
  });

  const onKeyDown = (event: React.KeyboardEvent, row: number) => {
    const { item, level, position } = all[row];
    const isExpanded = expanded.has(keyOf(item));
    const target = moved(event.key, row, all.length);
    if (event.target !== event.currentTarget && target === null) {
      return; // the key is for a button of the row
    }
    if (target !== null) {
      move(target);
    } else if (event.key === 'ArrowLeft' && level > 1) {
      move(row - position);
    } else if (event.key === 'ArrowRight' && isExpanded) {
      move(all[row + 1]?.level > 1 ? row + 1 : row);
    } else if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      expand(all[row], event.key === 'ArrowRight');
    } else if (event.key === 'Enter' && event.altKey && props.onOpen) {
      props.onOpen(item);
    } else if (event.key === 'Enter' && props.onEnter) {
      props.onEnter(item);
    } else if (event.key === 'Enter') {
      expand(all[row], !isExpanded);
    } else if (event.key === 'c' && (event.ctrlKey || event.metaKey)) {
      props.onCopy(item);
    } else if (event.key === 'Delete' && props.onDelete) {
      props.onDelete(item);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={box}
      className={`jp-EasyRemote-tree ${props.className}`}
      onScroll={onScroll}
      data-lm-dragscroll={true}
    >
      <div role="tree" aria-label={label} style={{ height: tops[all.length] }}>
        {drawn.map(row => {
          const { item, level, position, size } = all[row];
          const key = keyOf(item);
          const isExpanded = expanded.has(key);
          const tabIndex = row === activeRow ? 0 : -1;
          return (
            <div
              key={key}
              role="treeitem"
              className="jp-EasyRemote-treeItem"
              {...{ [`data-${props.kind}`]: key }}
              aria-label={props.nameOf(item)}
              data-row={row}
              aria-level={level}
              aria-setsize={size}
              aria-posinset={position}
              aria-expanded={level > 1 ? undefined : isExpanded}
              tabIndex={tabIndex}
              draggable={props.onDragStart !== undefined}
              style={{ transform: `translateY(${tops[row]}px)` }}
              onFocus={() => {
                setActive(key);
                focused.current = row;
              }}
              onBlur={() => {
                focused.current = -1;
              }}
              onClick={() => {
                expand(all[row], !isExpanded);
              }}
              onDoubleClick={() => {
                props.onOpen?.(item);
              }}
              onKeyDown={event => {
                onKeyDown(event, row);
              }}
              onDragStart={event => {
                props.onDragStart?.(item, event);
              }}
            >
              {props.render(item, { isExpanded, tabIndex })}
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** What can be seen of an element that scrolls. */
function useScroll(): {
  box: React.RefObject<HTMLDivElement>;
  scroll: number;
  height: number;
  onScroll: () => void;
} {
  const box = React.useRef<HTMLDivElement>(null);
  const [seen, setSeen] = React.useState({ scroll: 0, height: FIRST_HEIGHT });
  const onScroll = React.useCallback(() => {
    const list = box.current;
    if (list !== null) {
      setSeen({ scroll: list.scrollTop, height: list.clientHeight });
    }
  }, []);
  React.useEffect(() => {
    const observer = new ResizeObserver(onScroll);
    if (box.current !== null) {
      observer.observe(box.current);
    }
    return () => {
      observer.disconnect();
    };
  }, [onScroll]);
  return { box, ...seen, onScroll };
}
