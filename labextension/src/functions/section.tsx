/** The section of the functions: what nodes offer, and a form to call one. */

import { TranslationBundle } from '@jupyterlab/translation';
import { addBelowIcon, runIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { State } from '../core/tokens';
import { IconButton } from '../ui/iconButton';
import { firstOfGroups } from '../ui/rows';
import { SearchField } from '../ui/searchField';
import { IFunctionSectionProps, useConnection } from '../ui/state';
import { IRow, Tree } from '../ui/tree';
import { Form } from './form';
import { fieldsOf, IFunction, search } from './functions';

/** Pixels, as `style/functions.css` has them: the list must know before it draws. */
const NODE = 24;
const HEAD = 28;
const LINE = 16;
const MARGIN = 8;
/** Lines of documentation that are shown without scrolling. */
const LINES = 10;

export function Functions(props: IFunctionSectionProps): React.ReactElement {
  const { model, functionActions, trans } = props;
  const state = useConnection(model);
  const [query, setQuery] = React.useState('');
  const [chosen, setChosen] = React.useState<IFunction | null>(null);
  const all = useFunctions(state, functionActions.list.bind(functionActions));
  if (chosen !== null) {
    // The form stays while the gateway is away, with what was filled in.
    return (
      <Form
        fn={chosen}
        actions={functionActions}
        onBack={() => {
          setChosen(null);
        }}
        trans={trans}
      />
    );
  }
  if (state.kind !== 'snapshot') {
    return <p className="jp-EasyRemote-empty">{trans.__('Not connected.')}</p>;
  }
  if (all.length === 0) {
    return (
      <p className="jp-EasyRemote-empty">
        {trans.__('No node online has registered a function.')}
      </p>
    );
  }
  const shown = search(all, query);
  const firsts = firstOfGroups(shown, fn => fn.node_id);
  return (
    <>
      <div className="jp-EasyRemote-toolbar">
        <SearchField
          label={trans.__('Search functions')}
          query={query}
          onQuery={setQuery}
        />
      </div>
      <Tree
        items={shown}
        keyOf={fn => `${fn.node_id}/${fn.name}`}
        nameOf={fn => `${fn.name}, ${fn.node_id}`}
        heightOf={(fn, isExpanded) =>
          HEAD +
          (firsts.has(fn) ? NODE : 0) +
          (isExpanded ? docHeight(fn, trans) : 0)
        }
        label={trans.__('Functions')}
        className="jp-EasyRemote-functions"
        kind="function"
        onEnter={fn => {
          functionActions.insert(fn);
        }}
        onCopy={fn => {
          functionActions.copy(fn);
        }}
        render={(fn, row) => (
          <FunctionRow
            fn={fn}
            isFirst={firsts.has(fn)}
            {...row}
            {...props}
            onRun={() => {
              setChosen(fn);
            }}
          />
        )}
      />
    </>
  );
}

function FunctionRow({
  fn,
  isFirst,
  isExpanded,
  tabIndex,
  functionActions,
  onRun,
  trans
}: IRow &
  IFunctionSectionProps & {
    fn: IFunction;
    /** Whether it is the first of its node. */
    isFirst: boolean;
    onRun: () => void;
  }): React.ReactElement {
  return (
    <>
      {isFirst && (
        <div className="jp-EasyRemote-group" dir="auto">
          {fn.node_id}
        </div>
      )}
      <div className="jp-EasyRemote-functionHead" title={fn.signature}>
        <span className="jp-EasyRemote-function" dir="auto">
          {fn.name}
          <span>{fn.signature}</span>
        </span>
        <span className="jp-EasyRemote-actions">
          <IconButton
            icon={addBelowIcon}
            label={trans.__('Insert a call of %1', fn.name)}
            tabIndex={tabIndex}
            onClick={() => {
              functionActions.insert(fn);
            }}
          />
          {fieldsOf(fn) !== null && (
            <IconButton
              icon={runIcon}
              label={trans.__('Run %1', fn.name)}
              tabIndex={tabIndex}
              onClick={onRun}
            />
          )}
        </span>
      </div>
      {isExpanded && (
        <div
          className="jp-EasyRemote-doc"
          tabIndex={0}
          style={{ height: docHeight(fn, trans) - MARGIN }}
          onKeyDown={event => {
            event.stopPropagation(); // the arrow keys scroll it
          }}
        >
          {docOf(fn, trans).join('\n')}
        </div>
      )}
    </>
  );
}

/** The functions; they are asked for again when a node comes, goes, or offers others. */
export function useFunctions(
  state: State,
  list: () => Promise<IFunction[]>
): IFunction[] {
  const [functions, setFunctions] = React.useState<IFunction[]>([]);
  const asked = React.useRef(list);
  const key =
    state.kind === 'snapshot'
      ? JSON.stringify(
          state.nodes
            .filter(node => node.state === 'online')
            .map(node => [node.node_id, node.functions])
        )
      : '';
  React.useEffect(() => {
    let isCurrent = true;
    if (key !== '') {
      asked.current().then(
        found => {
          if (isCurrent) {
            setFunctions(found);
          }
        },
        () => undefined // the state of the connection shows what is wrong
      );
    }
    return () => {
      isCurrent = false;
    };
  }, [key]);
  return functions;
}

function docOf(fn: IFunction, trans: TranslationBundle): string[] {
  const needs = fn.needs === '' ? [] : [trans.__('needs %1', fn.needs)];
  return [`${fn.name}${fn.signature}`, ...needs, ...fn.doc.split('\n')];
}

function docHeight(fn: IFunction, trans: TranslationBundle): number {
  return Math.min(docOf(fn, trans).length, LINES) * LINE + 2 * MARGIN;
}
