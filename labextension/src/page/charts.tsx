/** The charts of a node: processor, memory, network, and each GPU. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { bytes, memory, percent } from '../core/format';
import { gpuSeries } from '../core/merge';
import { INode, Series } from '../core/protocol';
import { Chart } from './chart';
import { peak, scaled, top } from './scale';

interface IOfNode {
  node: INode;
  trans: TranslationBundle;
}

export function Charts({
  node,
  history,
  trans
}: IOfNode & { history: Series[] }): React.ReactElement {
  const [cpu = [], ram = []] = history;
  const common = { node, trans };
  return (
    <div className="jp-EasyRemote-charts">
      <Share {...common} title={trans.__('CPU')} use={node.cpu} series={cpu} />
      <Memory
        {...common}
        title={trans.__('RAM')}
        used={node.memory_used}
        total={node.memory_total}
        series={ram}
      />
      {node.gpus.map((gpu, index) => {
        const [use = [], used = []] = gpuSeries(history, index);
        const number = node.gpus.length > 1 ? ` ${index}` : '';
        return (
          <React.Fragment key={index}>
            <Share
              {...common}
              title={trans.__('GPU') + number}
              detail={gpu.name}
              use={gpu.use}
              series={use}
            />
            <Memory
              {...common}
              title={trans.__('VRAM') + number}
              detail={gpu.name}
              used={gpu.memory_used}
              total={gpu.memory_total}
              series={used}
            />
          </React.Fragment>
        );
      })}
      <Network {...common} history={history} />
    </div>
  );
}

interface IMeter extends IOfNode {
  title: string;
  detail?: string;
  series: Series;
}

function Share({
  use,
  ...meter
}: IMeter & { use: number | null }): React.ReactElement {
  const text = use === null ? '–' : percent(use);
  return <Single {...meter} text={text} top={percent(1)} />;
}

function Memory({
  used,
  total,
  ...meter
}: IMeter & {
  used: number | null;
  total: number | null;
}): React.ReactElement {
  const isKnown = used !== null && total !== null;
  const text = isKnown ? memory(used, total) : '–';
  return <Single {...meter} text={text} top={percent(1)} />;
}

/** One line, in percents. */
function Single({
  node,
  title,
  detail,
  series,
  text,
  top,
  trans
}: IMeter & { text: string; top: string }): React.ReactElement {
  const highest = peak(series);
  const name = trans.__(
    '%1 of %2 in the last 5 minutes: now %3, at most %4',
    detail === undefined ? title : `${title}, ${detail}`,
    node.node_id,
    text,
    highest === null ? '–' : percent(highest / 100)
  );
  return (
    <Chart
      title={title}
      detail={detail}
      name={name}
      lines={[{ series, text }]}
      top={top}
      trans={trans}
    />
  );
}

function Network({
  node,
  history,
  trans
}: IOfNode & { history: Series[] }): React.ReactElement {
  const [, , received = [], sent = []] = history;
  const whole = top(received, sent);
  const rate = (value: number | null) =>
    value === null ? '–' : `${bytes(value)}/s`;
  const name = trans.__(
    'Network of %1 in the last 5 minutes: receives %2, sends %3; the top is %4',
    node.node_id,
    rate(node.received),
    rate(node.sent),
    rate(whole * 1000)
  );
  return (
    <Chart
      title={trans.__('Network')}
      name={name}
      lines={[
        {
          series: scaled(received, whole),
          label: trans.__('in'),
          text: rate(node.received)
        },
        {
          series: scaled(sent, whole),
          label: trans.__('out'),
          text: rate(node.sent)
        }
      ]}
      top={rate(whole * 1000)}
      trans={trans}
    />
  );
}
