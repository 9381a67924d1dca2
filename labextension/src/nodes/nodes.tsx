/** The section of the nodes: how they are, and how loaded. */

import * as React from 'react';
import { explain, nothingToShow } from '../nothing';
import { Explanation } from '../ui/explanation';
import { ISectionProps, useConnection } from '../ui/state';
import { NodeRow } from './row';

export function Nodes({ model, trans }: ISectionProps): React.ReactElement {
  const state = useConnection(model);
  const nothing = nothingToShow(state);
  if (nothing !== null || state.kind !== 'snapshot') {
    return (
      <Explanation
        explanation={explain(nothing ?? { why: 'connecting' }, trans)}
        onRetry={() => {
          model.retry();
        }}
        trans={trans}
      />
    );
  }
  return (
    <ul className="jp-EasyRemote-nodes" aria-label={trans.__('Nodes')}>
      {state.nodes.map(node => (
        <NodeRow key={node.node_id} node={node} trans={trans} />
      ))}
    </ul>
  );
}
