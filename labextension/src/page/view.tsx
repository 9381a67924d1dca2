/** The page of one node: how it is, who is there, what it has, and what its owner allows. */

import { TranslationBundle } from '@jupyterlab/translation';
import { DisposableSet } from '@lumino/disposable';
import * as React from 'react';
import { IFunctionActions } from '../functions/actions';
import { IFunction } from '../functions/functions';
import { useFunctions } from '../functions/section';
import { IJobActions } from '../jobs/actions';
import { JobTree, listed } from '../jobs/section';
import { activity, mismatch, shapeOf, versions } from '../nodes/texts';
import { explain, nothingToShow } from '../core/nothing';
import { INode, ISnapshot } from '../core/protocol';
import { CallServer } from '../core/request';
import { ISessionActions } from '../sessions/actions';
import { SessionsModel } from '../sessions/model';
import { nothing, SessionTree } from '../sessions/section';
import { askedOf } from '../sessions/sessions';
import { IConnectionModel } from '../core/tokens';
import { Explanation } from '../ui/explanation';
import { useWhileSeen } from '../ui/looking';
import { StateShape } from '../ui/shape';
import { useConnection, useSignal } from '../ui/state';
import { Charts } from './charts';
import { Lending } from './lending';
import { limits, policy, users } from './policy';
import { Rules } from './rulesForm';
import { Used } from './used';

export interface INodePageProps {
  nodeId: string;
  model: IConnectionModel;
  sessions: SessionsModel;
  sessionActions: ISessionActions;
  jobActions: IJobActions;
  functionActions: IFunctionActions;
  call: CallServer;
  trans: TranslationBundle;
}

export function NodePage(props: INodePageProps): React.ReactElement {
  const { nodeId, model, sessions, trans } = props;
  const state = useConnection(model);
  const box = useWhileSeen(
    React.useCallback(
      () => DisposableSet.from([model.acquire(), sessions.look()]),
      [model, sessions]
    )
  );
  const node =
    state.kind === 'snapshot'
      ? state.nodes.find(each => each.node_id === nodeId)
      : undefined;
  return (
    <div ref={box} className="jp-EasyRemote-page" tabIndex={-1}>
      {state.kind === 'snapshot' && node !== undefined ? (
        <Known {...props} node={node} snapshot={state} />
      ) : (
        <>
          <h2 dir="auto">{nodeId}</h2>
          {state.kind === 'snapshot' ? (
            <p className="jp-EasyRemote-hint">
              {trans.__(
                'The gateway does not know this node. It is shown here as soon as it connects.'
              )}
            </p>
          ) : (
            <Explanation
              explanation={explain(
                nothingToShow(state) ?? { why: 'connecting' },
                trans
              )}
              onRetry={() => {
                model.retry();
              }}
              trans={trans}
            />
          )}
        </>
      )}
    </div>
  );
}

function Known({
  node,
  snapshot,
  ...props
}: INodePageProps & {
  node: INode;
  snapshot: ISnapshot;
}): React.ReactElement {
  const { model, sessions, sessionActions, jobActions, trans } = props;
  const known = useSignal(sessions.stateChanged, () => sessions.state);
  const jobs = listed({
    ...snapshot,
    jobs: snapshot.jobs.filter(job => job.node_id === node.node_id),
    ended: snapshot.ended.filter(job => job.node_id === node.node_id)
  });
  const newest = snapshot.ended.find(job => job.node_id === node.node_id);
  const isOffline = node.state === 'offline';
  const warning = mismatch(node, snapshot.server, trans);
  return (
    <>
      <div className="jp-EasyRemote-pageHead">
        <StateShape shape={shapeOf(node)} />
        <h2 dir="auto">{node.node_id}</h2>
        <span className="jp-EasyRemote-aside">{activity(node, trans)}</span>
      </div>
      <p className="jp-EasyRemote-hint">
        {[versions(node, trans), ...node.labels].join(' · ')}
      </p>
      {warning !== null && <p className="jp-EasyRemote-hint">{warning}</p>}
      {isOffline && (
        <p className="jp-EasyRemote-hint">
          {trans.__('The node is offline. These are its last known values.')}
        </p>
      )}
      <Lending node={node} call={props.call} trans={trans} />
      <Part title={trans.__('Load')}>
        <Charts
          node={node}
          history={snapshot.history[node.node_id] ?? []}
          trans={trans}
        />
      </Part>
      <Part title={trans.__('Usage in the last 7 days')}>
        <Used
          nodeId={node.node_id}
          newest={newest?.call_id ?? ''}
          call={props.call}
          trans={trans}
        />
      </Part>
      <div className="jp-EasyRemote-columns">
        <Part title={trans.__('Used by')}>
          <p>{users(node, snapshot, trans)}</p>
          {jobs.length > 0 && (
            <JobTree
              jobs={jobs}
              nodes={[node]}
              model={model}
              jobActions={jobActions}
              trans={trans}
            />
          )}
        </Part>
        <Part title={trans.__('Sessions')}>
          {!isOffline && known.sessions?.length ? (
            <SessionTree
              sessions={sessions}
              sessionActions={sessionActions}
              known={known}
              list={known.sessions}
              asked={askedOf(snapshot)}
              hasGroups={false}
              trans={trans}
            />
          ) : (
            <p>
              {isOffline
                ? trans.__('Not known while the node is offline.')
                : nothing(known, trans)}
            </p>
          )}
        </Part>
        <Part title={trans.__('Functions')}>
          <FunctionList node={node} snapshot={snapshot} {...props} />
        </Part>
        <Part title={trans.__('What its owner allows')}>
          <ul>
            {policy(node, trans).map(sentence => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
          {!isOffline && (
            <Rules nodeId={node.node_id} call={props.call} trans={trans} />
          )}
        </Part>
      </div>
    </>
  );
}

function Part({
  title,
  children
}: {
  title: string;
  children: React.ReactNode;
}): React.ReactElement {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

/** Its functions; while the node is offline only their names are known. */
function FunctionList({
  node,
  snapshot,
  functionActions,
  trans
}: {
  node: INode;
  snapshot: ISnapshot;
  functionActions: IFunctionActions;
  trans: TranslationBundle;
}): React.ReactElement {
  const all = useFunctions(
    snapshot,
    functionActions.list.bind(functionActions)
  );
  if (node.functions.length === 0) {
    return <p>{trans.__('This node has registered no functions.')}</p>;
  }
  const byName = new Map(
    all
      .filter(each => each.node_id === node.node_id)
      .map(each => [each.name, each])
  );
  return (
    <ul className="jp-EasyRemote-functionList">
      {node.functions.map(name => (
        <li key={name}>
          <FunctionItem name={name} fn={byName.get(name)} trans={trans} />
        </li>
      ))}
    </ul>
  );
}

function FunctionItem({
  name,
  fn,
  trans
}: {
  name: string;
  fn: IFunction | undefined;
  trans: TranslationBundle;
}): React.ReactElement {
  const [summary = ''] = fn?.doc.split('\n') ?? [];
  const rules = fn === undefined ? '' : limits(fn, trans);
  return (
    <>
      <code dir="auto">
        {name}
        <span>{fn?.signature}</span>
      </code>
      {summary && <div>{summary}</div>}
      {rules && <div className="jp-EasyRemote-aside">{rules}</div>}
    </>
  );
}
