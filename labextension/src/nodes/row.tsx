/** One node: its state, what it is, and its bars. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { roughly, memory, percent } from '../format';
import { IGpu, INode } from '../protocol';
import { Meter } from '../ui/meter';
import { Shape, StateShape } from '../ui/shape';

const SHAPES: Partial<Record<string, Shape>> = {
  online: 'well',
  suspect: 'doubt',
  offline: 'off'
};

export function NodeRow({
  node,
  trans
}: {
  node: INode;
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <li className={`jp-EasyRemote-node jp-mod-${node.state}`}>
      <div className="jp-EasyRemote-nodeHead">
        <StateShape shape={SHAPES[node.state] ?? 'waiting'} />
        <span className="jp-EasyRemote-name" title={about(node, trans)}>
          {node.node_id}
        </span>
        <span className="jp-EasyRemote-aside">{activity(node, trans)}</span>
      </div>
      {node.state !== 'offline' && <Resources node={node} trans={trans} />}
    </li>
  );
}

function Resources({
  node,
  trans
}: {
  node: INode;
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <>
      <Usage
        label={trans.__('CPU')}
        name={trans.__('CPU of %1', node.node_id)}
        use={node.cpu}
      />
      <Memory
        label={trans.__('RAM')}
        name={trans.__('RAM of %1', node.node_id)}
        used={node.memory_used}
        total={node.memory_total}
      />
      {node.gpus.map((gpu, index) => (
        <Gpu key={index} node={node} gpu={gpu} index={index} trans={trans} />
      ))}
    </>
  );
}

function Gpu({
  node,
  gpu,
  index,
  trans
}: {
  node: INode;
  gpu: IGpu;
  index: number;
  trans: TranslationBundle;
}): React.ReactElement {
  const label =
    node.gpus.length > 1 ? trans.__('GPU %1', index) : trans.__('GPU');
  const name = `${label}: ${gpu.name}, ${node.node_id}`;
  return (
    <>
      <div className="jp-EasyRemote-gpu" title={gpu.name}>
        {gpu.name.replace(/^NVIDIA /, '')}
      </div>
      <Usage label={label} name={name} use={gpu.use} />
      <Memory
        label={trans.__('VRAM')}
        name={trans.__('Memory of %1', name)}
        used={gpu.memory_used}
        total={gpu.memory_total}
      />
    </>
  );
}

function Usage({
  label,
  name,
  use
}: {
  label: string;
  name: string;
  use: number | null;
}): React.ReactElement {
  const text = use === null ? '–' : percent(use);
  return <Meter label={label} name={name} value={use} text={text} />;
}

function Memory({
  label,
  name,
  used,
  total
}: {
  label: string;
  name: string;
  used: number | null;
  total: number | null;
}): React.ReactElement {
  if (used === null || !total) {
    return <Meter label={label} name={name} value={null} text="–" />;
  }
  return (
    <Meter
      label={label}
      name={name}
      value={used / total}
      text={memory(used, total)}
      runsOut
    />
  );
}

/** What the node is busy with, or what is the matter with it, in a few words. */
function activity(node: INode, trans: TranslationBundle): string {
  switch (node.state) {
    case 'online':
      return node.running === 0
        ? trans.__('idle')
        : trans.__('%1 of %2 running', node.running, node.slots);
    case 'suspect':
      return trans.__('silent for %1', roughly(node.since));
    case 'offline':
      return trans.__('offline for %1', roughly(node.since));
    default:
      return node.state;
  }
}

/** What one wants to know of a node now and then. */
function about(node: INode, trans: TranslationBundle): string {
  const lines = [
    node.node_id,
    trans.__('Python %1, EasyRemote %2', node.python, node.version)
  ];
  if (node.cores !== null) {
    lines.push(trans._n('%1 core', '%1 cores', node.cores, node.cores));
  }
  if (node.functions.length > 0) {
    lines.push(trans.__('Functions: %1', node.functions.join(', ')));
  }
  return lines.join('\n');
}
