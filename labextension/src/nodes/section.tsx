/** The section of the nodes: how they are, and how loaded. */

import * as React from 'react';
import { explain, Nothing, nothingToShow } from '../core/nothing';
import { Setup } from '../setup/setup';
import { Explanation } from '../ui/explanation';
import { Steps } from '../ui/steps';
import { meanShare } from '../jobs/jobs';
import {
  ISessionSectionProps,
  useBars,
  useConnection,
  useOptions,
  useSignal
} from '../ui/state';
import { Tree } from '../ui/tree';
import { NodeRow, rowHeight } from './row';
import { select } from './select';
import { Toolbar } from './toolbar';

/** The reasons for which another gateway, or a node here, would help. */
const CURABLE = new Set<Nothing['why'] | undefined>([
  'no-nodes',
  'not-configured',
  'not-authorized',
  'unreachable'
]);

export function Nodes(props: ISessionSectionProps): React.ReactElement {
  const { model, options, actions, setup, trans } = props;
  const { sessions, sessionActions } = props;
  const state = useConnection(model);
  const choice = useOptions(options);
  const attached = useSignal(actions.attachedChanged, () => actions.attached);
  useSignal(actions.attachedChanged, () => actions.sessionOn(''));
  const bars = useBars(model);
  /** The node whose session is to be restarted, once the user agrees. */
  const [asked, setAsked] = React.useState<string | null>(null);
  const [query, setQuery] = React.useState('');
  const nothing = nothingToShow(state);
  if (nothing !== null || state.kind !== 'snapshot') {
    const explanation = explain(nothing ?? { why: 'connecting' }, trans);
    const { steps = [] } = explanation;
    return (
      <Explanation
        explanation={explanation}
        onRetry={() => {
          model.retry();
        }}
        trans={trans}
      >
        {CURABLE.has(nothing?.why) ? (
          <Setup key={nothing?.why} setup={setup} steps={steps} trans={trans} />
        ) : (
          steps.length > 0 && (
            <Steps steps={steps} isFolded={false} trans={trans} />
          )
        )}
      </Explanation>
    );
  }
  const nodes = select(state.nodes, query, choice);
  return (
    <>
      <Toolbar
        query={query}
        onQuery={setQuery}
        choice={choice}
        onChoice={(key, value) => {
          void options.set(key, value);
        }}
        shown={nodes.length}
        total={state.nodes.length}
        trans={trans}
      />
      {nodes.length === 0 && (
        <p className="jp-EasyRemote-empty">
          {trans.__('No node fits the search and the filters.')}
        </p>
      )}
      <Tree
        key={choice.sort /* another order begins at its top */}
        items={nodes}
        keyOf={node => node.node_id}
        nameOf={node => node.node_id}
        heightOf={(node, isExpanded) =>
          rowHeight(node, isExpanded, node.node_id === asked)
        }
        label={trans.__('Nodes')}
        className="jp-EasyRemote-nodes"
        kind="node"
        onEnter={node => {
          actions.insert(node.node_id);
        }}
        onOpen={node => {
          actions.open(node.node_id);
        }}
        onCopy={node => {
          actions.copy(node.node_id);
        }}
        onDragStart={(node, event) => {
          actions.drag(node.node_id, event.nativeEvent);
        }}
        render={(node, row) => (
          <NodeRow
            node={node}
            history={state.history[node.node_id]}
            isAttached={node.node_id === attached}
            server={state.server}
            canRestart={
              node.state === 'online' &&
              node.runs_code &&
              actions.sessionOn(node.node_id) !== null
            }
            isAsked={node.node_id === asked}
            onAsk={isAsked => {
              setAsked(isAsked ? node.node_id : null);
            }}
            onRestart={() => {
              setAsked(null);
              const session = actions.sessionOn(node.node_id);
              if (session !== null) {
                const { node_id } = node;
                void sessionActions.restart(sessions, { node_id, session });
              }
            }}
            share={meanShare(
              state.jobs.filter(job => job.node_id === node.node_id),
              bars
            )}
            {...row}
            actions={actions}
            trans={trans}
          />
        )}
      />
    </>
  );
}
