/** The picker in a notebook's toolbar: where its remote cells run. */

import { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect, ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';
import { LOADER } from '../notebook/cell';
import { IConnectionModel } from '../core/tokens';
import { useConnection, useSignal } from '../ui/state';
import { Attachment, IAttached } from './attachment';

export interface IPickerProps {
  attachment: Attachment;
  model: IConnectionModel;
  /** Called when the user has chosen a node here, not when the kernel has. */
  onAttached: () => void;
  trans: TranslationBundle;
}

export class Picker extends ReactWidget {
  constructor(props: IPickerProps) {
    super();
    this._props = props;
    this.addClass('jp-EasyRemote-picker');
  }

  protected override render(): React.ReactElement {
    return <Choices {...this._props} />;
  }

  private readonly _props: IPickerProps;
}

function Choices({
  attachment,
  model,
  onAttached,
  trans
}: IPickerProps): React.ReactElement {
  const state = useConnection(model);
  React.useEffect(() => {
    const lease = model.acquire();
    return () => {
      lease.dispose();
    };
  }, [model]);
  const attached = useSignal(attachment.changed, () => attachment.attached);
  const isLoaded = useSignal(attachment.changed, () => attachment.isLoaded);
  const nodes = state.kind === 'snapshot' ? state.nodes : [];
  const names = nodes
    .filter(node => node.state !== 'offline')
    .map(node => node.node_id);
  if (attached !== null && !names.includes(attached.node)) {
    names.unshift(attached.node);
  }
  const isPending = attached !== null && isLoaded === false;
  return (
    <HTMLSelect
      className={isPending ? 'jp-mod-pending' : ''}
      aria-label={trans.__('Where the remote cells of this notebook run')}
      title={explain(attached, isPending, trans)}
      value={
        attached ? `${attached.auto ? 'all' : 'remote'} ${attached.node}` : ''
      }
      onChange={event => {
        const [how, ...words] = event.target.value.split(' ');
        const node = words.join(' ');
        attachment.attach(node || null, how === 'all');
        if (node) {
          onAttached();
        }
      }}
    >
      <option value="">{trans.__('No node')}</option>
      <optgroup label={trans.__('%1 cells run on', '%%remote')}>
        {names.map(name => (
          <option key={name} value={`remote ${name}`}>
            {name}
          </option>
        ))}
      </optgroup>
      <optgroup label={trans.__('All cells run on')}>
        {names.map(name => (
          <option key={name} value={`all ${name}`}>
            {trans.__('%1: all cells', name)}
          </option>
        ))}
      </optgroup>
    </HTMLSelect>
  );
}

function explain(
  attached: IAttached | null,
  isPending: boolean,
  trans: TranslationBundle
): string {
  if (attached === null) {
    return trans.__('No node is attached to this notebook');
  }
  if (isPending) {
    return trans.__(
      '%1 will be attached when this notebook runs %2',
      attached.node,
      LOADER
    );
  }
  return attached.auto
    ? trans.__('All cells of this notebook run on %1', attached.node)
    : trans.__(
        '%1 cells of this notebook run on %2',
        '%%remote',
        attached.node
      );
}
