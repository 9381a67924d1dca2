/** One node: its state, what it is, and its bars. */

import { TranslationBundle } from '@jupyterlab/translation';
import {
  addBelowIcon,
  copyIcon,
  launchIcon,
  linkIcon,
  refreshIcon
} from '@jupyterlab/ui-components';
import * as React from 'react';
import { INodeActions } from './actions';
import { memory, percent } from '../core/format';
import { gpuSeries } from '../core/merge';
import { IGpu, INode, Series } from '../core/protocol';
import { Confirm, CONFIRM_HEIGHT } from '../ui/confirm';
import { ProgressBar } from '../ui/progressBar';
import { IconButton } from '../ui/iconButton';
import { Meter } from '../ui/meter';
import { StateShape } from '../ui/shape';
import { IRow } from '../ui/tree';
import { activity, mismatch, shapeOf, versions } from './texts';

/** Pixels, as `style/nodes.css` has them: the list must know before it draws. */
const HEAD = 42;
const LINE = 18;
const GPU_HEAD = 24;

/** The height of a row. */
export function rowHeight(
  node: INode,
  isExpanded: boolean,
  isAsked: boolean
): number {
  const details = isExpanded ? 4 + detailLines(node) * LINE : 0;
  const below = details + (isAsked ? CONFIRM_HEIGHT : 0);
  if (node.state === 'offline') {
    return HEAD + below;
  }
  const meters = 2 + 2 * node.gpus.length;
  return HEAD + 4 + meters * LINE + node.gpus.length * GPU_HEAD + below;
}

export function NodeRow({
  node,
  history = [],
  share,
  isExpanded,
  tabIndex,
  isAttached,
  actions,
  server,
  canRestart,
  isAsked,
  onAsk,
  onRestart,
  trans
}: IRow & {
  node: INode;
  /** The version of the Jupyter server's EasyRemote. */
  server: string;
  /** Whether the current notebook may have a session there. */
  canRestart: boolean;
  /** Whether the row asks if that session is to be restarted. */
  isAsked: boolean;
  onAsk: (isAsked: boolean) => void;
  onRestart: () => void;
  /** Whether the current notebook is attached to it. */
  isAttached: boolean;
  /** How far my jobs there have come, 0 to 1, where that is known. */
  share: number | null;
  /** The last five minutes, in the order of the meters. */
  history?: Series[];
  actions: INodeActions;
  trans: TranslationBundle;
}): React.ReactElement {
  const warning = mismatch(node, server, trans);
  return (
    <div className={`jp-EasyRemote-node jp-mod-${node.state}`}>
      <div className="jp-EasyRemote-nodeHead">
        <StateShape shape={shapeOf(node)} />
        <span className="jp-EasyRemote-name" title={node.node_id} dir="auto">
          {node.node_id}
        </span>
        {warning !== null && (
          <span
            className="jp-EasyRemote-warning"
            role="img"
            aria-label={warning}
            title={warning}
          >
            {node.version}
          </span>
        )}
        <span className="jp-EasyRemote-aside">
          {isAttached
            ? trans.__('%1, attached', activity(node, trans))
            : activity(node, trans)}
        </span>
        <span className="jp-EasyRemote-actions">
          <IconButton
            icon={addBelowIcon}
            label={trans.__('Insert a cell for %1', node.node_id)}
            tabIndex={tabIndex}
            onClick={() => {
              actions.insert(node.node_id);
            }}
          />
          <IconButton
            icon={linkIcon}
            label={trans.__('Attach this notebook to %1', node.node_id)}
            isPressed={isAttached}
            tabIndex={tabIndex}
            onClick={() => {
              actions.toggleAttached(node.node_id);
            }}
          />
          {canRestart && (
            <IconButton
              icon={refreshIcon}
              label={trans.__(
                'Restart the session of this notebook on %1',
                node.node_id
              )}
              tabIndex={tabIndex}
              onClick={() => {
                onAsk(true);
              }}
            />
          )}
          <IconButton
            icon={copyIcon}
            label={trans.__('Copy the name %1', node.node_id)}
            tabIndex={tabIndex}
            onClick={() => {
              actions.copy(node.node_id);
            }}
          />
          {actions.canOpen && (
            <IconButton
              icon={launchIcon}
              label={trans.__('Open the page of %1', node.node_id)}
              tabIndex={tabIndex}
              onClick={() => {
                actions.open(node.node_id);
              }}
            />
          )}
        </span>
      </div>
      {node.state !== 'offline' && (
        <Resources node={node} history={history} trans={trans} />
      )}
      {isExpanded && <Details node={node} trans={trans} />}
      {isAsked && (
        <Confirm
          text={trans.__(
            'The running cell is stopped; all variables are lost.'
          )}
          action={trans.__('Restart')}
          onYes={onRestart}
          onNo={() => {
            onAsk(false);
          }}
          trans={trans}
        />
      )}
      {share !== null && (
        <ProgressBar
          share={share}
          label={trans.__('Progress on %1', node.node_id)}
          text={percent(share)}
        />
      )}
    </div>
  );
}

function Resources({
  node,
  history,
  trans
}: {
  node: INode;
  history: Series[];
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <>
      <Usage
        label={trans.__('CPU')}
        name={trans.__('CPU of %1', node.node_id)}
        use={node.cpu}
        series={history[0]}
      />
      <Memory
        label={trans.__('RAM')}
        name={trans.__('RAM of %1', node.node_id)}
        used={node.memory_used}
        total={node.memory_total}
        series={history[1]}
      />
      {node.gpus.map((gpu, index) => (
        <Gpu
          key={index}
          node={node}
          gpu={gpu}
          index={index}
          history={gpuSeries(history, index)}
          trans={trans}
        />
      ))}
    </>
  );
}

function Gpu({
  node,
  gpu,
  index,
  history,
  trans
}: {
  node: INode;
  gpu: IGpu;
  index: number;
  history: Series[];
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
      <Usage label={label} name={name} use={gpu.use} series={history[0]} />
      <Memory
        label={trans.__('VRAM')}
        name={trans.__('Memory of %1', name)}
        used={gpu.memory_used}
        total={gpu.memory_total}
        series={history[1]}
      />
    </>
  );
}

function Usage({
  label,
  name,
  use,
  series = []
}: {
  label: string;
  name: string;
  use: number | null;
  series?: Series;
}): React.ReactElement {
  const text = use === null ? '–' : percent(use);
  return (
    <Meter label={label} name={name} value={use} text={text} series={series} />
  );
}

function Memory({
  label,
  name,
  used,
  total,
  series = []
}: {
  label: string;
  name: string;
  used: number | null;
  total: number | null;
  series?: Series;
}): React.ReactElement {
  if (used === null || !total) {
    return (
      <Meter label={label} name={name} value={null} text="–" series={series} />
    );
  }
  return (
    <Meter
      label={label}
      name={name}
      value={used / total}
      text={memory(used, total)}
      runsOut
      series={series}
    />
  );
}

function detailLines(node: INode): number {
  return (
    1 + (node.functions.length > 0 ? 1 : 0) + (node.labels.length > 0 ? 1 : 0)
  );
}

/** The details of a node; a line each. */
function Details({
  node,
  trans
}: {
  node: INode;
  trans: TranslationBundle;
}): React.ReactElement {
  const lines = [versions(node, trans)];
  if (node.functions.length > 0) {
    lines.push(trans.__('Functions: %1', node.functions.join(', ')));
  }
  if (node.labels.length > 0) {
    lines.push(trans.__('Labels: %1', node.labels.join(', ')));
  }
  return (
    <div className="jp-EasyRemote-details">
      {lines.map(line => (
        <div key={line} title={line}>
          {line}
        </div>
      ))}
    </div>
  );
}
