/** A log: its lines, of which only those are drawn that can be seen, and a bar of tools. */

import { TranslationBundle } from '@jupyterlab/translation';
import {
  caretDownEmptyThinIcon,
  caretUpEmptyThinIcon,
  downloadIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';
import { IconButton } from '../ui/iconButton';
import { SearchField } from '../ui/searchField';
import { useSignal } from '../ui/state';
import { ILine, LogModel, matches } from './model';

/** Pixels, as `style/log.css` has them. */
const LINE_HEIGHT = 17;
/** Lines that are drawn beyond those that can be seen. */
const EXTRA = 20;
/** Pixels: a log that is scrolled this near to its end is followed. */
const NEAR_END = 4;

export interface ILogViewProps {
  model: LogModel;
  /** What a download is called. */
  fileName: string;
  trans: TranslationBundle;
}

export function LogView(props: ILogViewProps): React.ReactElement {
  const { model, fileName, trans } = props;
  useSignal(model.changed, () => model.version);
  const { lines, state } = model;
  const [follows, setFollows] = React.useState(true);
  const [query, setQuery] = React.useState('');
  const [current, setCurrent] = React.useState(0);
  const [goal, setGoal] = React.useState<number | null>(null);
  const found = React.useMemo(() => matches(lines, query), [lines, query]);
  const index = found.length === 0 ? 0 : current % found.length;

  const step = (by: number) => {
    if (found.length > 0) {
      const next = (index + by + found.length) % found.length;
      setCurrent(next);
      setFollows(false);
      setGoal(found[next]);
    }
  };

  return (
    <>
      <div className="jp-EasyRemote-logTools">
        <SearchField
          label={trans.__('Search the log')}
          query={query}
          onQuery={next => {
            setQuery(next);
            setCurrent(0);
          }}
          onEnter={isBackwards => {
            step(isBackwards ? -1 : goal === null ? 0 : 1);
          }}
        />
        <span className="jp-EasyRemote-aside" role="status">
          {query === ''
            ? stateText(state, trans)
            : trans.__(
                '%1 of %2',
                found.length === 0 ? 0 : index + 1,
                found.length
              )}
        </span>
        <IconButton
          icon={caretUpEmptyThinIcon}
          label={trans.__('Previous match')}
          onClick={() => {
            step(-1);
          }}
        />
        <IconButton
          icon={caretDownEmptyThinIcon}
          label={trans.__('Next match')}
          onClick={() => {
            step(1);
          }}
        />
        <label>
          <input
            type="checkbox"
            checked={follows}
            onChange={event => {
              setFollows(event.target.checked);
            }}
          />
          {trans.__('Follow')}
        </label>
        <IconButton
          icon={downloadIcon}
          label={trans.__('Download the log')}
          onClick={() => {
            download(model.text, fileName);
          }}
        />
      </div>
      <Lines
        lines={lines}
        query={query}
        marked={found.length > 0 ? found[index] : null}
        goal={goal}
        follows={follows}
        onFollows={setFollows}
        label={trans.__('Log')}
      />
    </>
  );
}

interface ILinesProps {
  lines: readonly ILine[];
  query: string;
  /** The line of the match that is shown. */
  marked: number | null;
  /** The line to bring into view. */
  goal: number | null;
  follows: boolean;
  onFollows: (follows: boolean) => void;
  label: string;
}

function Lines(props: ILinesProps): React.ReactElement {
  const { lines, goal, follows, onFollows } = props;
  const box = React.useRef<HTMLDivElement>(null);
  const [seen, setSeen] = React.useState({ top: 0, height: 600 });
  const measure = React.useCallback(() => {
    if (box.current !== null) {
      const { scrollTop, clientHeight } = box.current;
      setSeen({ top: scrollTop, height: clientHeight });
    }
  }, []);
  React.useEffect(() => {
    const observer = new ResizeObserver(measure);
    if (box.current !== null) {
      observer.observe(box.current);
    }
    return () => {
      observer.disconnect();
    };
  }, [measure]);
  React.useLayoutEffect(() => {
    if (follows) {
      box.current?.scrollTo({ top: box.current.scrollHeight });
    }
  }, [follows, lines.length, seen.height]);
  React.useLayoutEffect(() => {
    if (goal !== null) {
      const middle = (box.current?.clientHeight ?? 0) / 2;
      box.current?.scrollTo({ top: goal * LINE_HEIGHT - middle });
    }
  }, [goal]);
  const first = Math.max(Math.floor(seen.top / LINE_HEIGHT) - EXTRA, 0);
  const last = Math.ceil((seen.top + seen.height) / LINE_HEIGHT) + EXTRA;
  return (
    <div
      ref={box}
      className="jp-EasyRemote-log"
      role="log"
      aria-label={props.label}
      tabIndex={0}
      onScroll={measure}
      onWheel={event => {
        // Scrolling up ends the following; scrolling to the end starts it again.
        const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
        const toEnd = scrollHeight - clientHeight - scrollTop - event.deltaY;
        onFollows(toEnd <= NEAR_END);
      }}
      onKeyDown={event => {
        if (['ArrowUp', 'PageUp', 'Home'].includes(event.key)) {
          onFollows(false);
        } else if (event.key === 'End') {
          onFollows(true);
        }
      }}
    >
      <div style={{ height: lines.length * LINE_HEIGHT }}>
        <div style={{ transform: `translateY(${first * LINE_HEIGHT}px)` }}>
          {lines.slice(first, last).map((line, offset) => (
            <div
              key={first + offset}
              className={`jp-mod-${line.kind}${
                first + offset === props.marked ? ' jp-mod-current' : ''
              }`}
            >
              <Marked text={line.text} query={props.query} />
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

/** A line with what was searched for marked in it. */
function Marked({
  text,
  query
}: {
  text: string;
  query: string;
}): React.ReactElement {
  const at =
    query === '' ? -1 : text.toLowerCase().indexOf(query.toLowerCase());
  if (at < 0) {
    return <>{text || '\u00a0'}</>;
  }
  const end = at + query.length;
  return (
    <>
      {text.slice(0, at)}
      <mark>{text.slice(at, end)}</mark>
      <Marked text={text.slice(end)} query={query} />
    </>
  );
}

function stateText(state: LogModel['state'], trans: TranslationBundle): string {
  switch (state) {
    case 'queued':
      return trans.__('queued');
    case 'running':
      return trans.__('running');
    case 'done':
      return trans.__('done');
    case 'failed':
      return trans.__('failed');
    case 'lost':
      return trans.__('lost');
    case 'unreachable':
      return trans.__('no connection; trying again');
  }
}

function download(text: string, fileName: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  link.download = fileName;
  link.click();
  URL.revokeObjectURL(link.href);
}
