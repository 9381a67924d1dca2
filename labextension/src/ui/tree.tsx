/** A long list as a tree: only what can be seen is drawn, and arrow keys move through it. */

import * as React from 'react';
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
  kind: 'node' | 'job' | 'function';
  /** What Enter does. */
  onEnter: (item: T) => void;
  onCopy: (item: T) => void;
  onDelete?: (item: T) => void;
  onDragStart?: (item: T, event: React.DragEvent) => void;
}

export function Tree<T>(props: ITreeProps<T>): React.ReactElement {
  const { items, keyOf, heightOf, label } = props;
  const [expanded, setExpanded] = React.useState<ReadonlySet<string>>(
    new Set()
  );
  const [active, setActive] = React.useState<string | null>(null);
  const { box, scroll, height, onScroll } = useScroll();
  const tops = offsets(
    items.map(item => heightOf(item, expanded.has(keyOf(item))))
  );
  const [first, last] = visible(tops, scroll, height);
  const activeRow = Math.max(
    items.findIndex(item => keyOf(item) === active),
    0
  );
  const rows = items.map((_, row) => row).slice(first, last);
  if (items.length > 0 && (activeRow < first || activeRow >= last)) {
    rows.push(activeRow); // the tab key must find it
  }

  const expand = (key: string, isExpanded: boolean) => {
    const next = new Set(expanded);
    if (isExpanded) {
      next.add(key);
    } else {
      next.delete(key);
    }
    setExpanded(next);
  };

  const move = (row: number) => {
    setActive(keyOf(items[row]));
    box.current?.scrollTo({ top: reveal(tops, row, scroll, height) });
    // The row may be drawn only now.
    requestAnimationFrame(() => {
      box.current
        ?.querySelector<HTMLElement>(`[aria-posinset="${row + 1}"]`)
        ?.focus();
    });
  };

  const onKeyDown = (event: React.KeyboardEvent, row: number) => {
    const item = items[row];
    const target = moved(event.key, row, items.length);
    if (event.target !== event.currentTarget && target === null) {
      return; // it is for a button of the row
    }
    if (target !== null) {
      move(target);
    } else if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      expand(keyOf(item), event.key === 'ArrowRight');
    } else if (event.key === 'Enter') {
      props.onEnter(item);
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
      <div
        role="tree"
        aria-label={label}
        style={{ height: tops[items.length] }}
      >
        {rows.map(row => {
          const item = items[row];
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
              aria-level={1}
              aria-setsize={items.length}
              aria-posinset={row + 1}
              aria-expanded={isExpanded}
              tabIndex={tabIndex}
              draggable={props.onDragStart !== undefined}
              style={{ transform: `translateY(${tops[row]}px)` }}
              onFocus={() => {
                setActive(key);
              }}
              onClick={() => {
                expand(key, !isExpanded);
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
