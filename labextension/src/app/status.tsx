/** The plugin of the status bar item: how many nodes are online, and the progress of the jobs. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import {
  ITranslator,
  nullTranslator,
  TranslationBundle
} from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { CommandIDs } from '../core/commands';
import { percent } from '../core/format';
import { meanShare } from '../jobs/jobs';
import { IConnectionModel } from '../core/tokens';
import { remoteIcon } from '../ui/icons';
import { ProgressBar } from '../ui/progressBar';
import { useBars, useConnection } from '../ui/state';

export const status: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:status',
  description: 'The nodes online and the jobs that run, in the status bar.',
  autoStart: true,
  requires: [IConnectionModel],
  optional: [IStatusBar, ITranslator], // Notebook 7 has no status bar
  activate: (
    { commands }: JupyterFrontEnd,
    model: IConnectionModel,
    statusBar: IStatusBar | null,
    translator: ITranslator | null
  ) => {
    if (statusBar === null) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('easyremote');
    model.acquire(); // for the life of the page; the connection pauses while the page is hidden
    const item = ReactWidget.create(
      <Item model={model} commands={commands} trans={trans} />
    );
    item.addClass('jp-EasyRemote-status');
    statusBar.registerStatusItem(status.id, {
      item,
      align: 'left',
      rank: 100,
      isActive: () => model.state.kind === 'snapshot',
      activeStateChanged: model.stateChanged
    });
  }
};

function Item({
  model,
  commands,
  trans
}: {
  model: IConnectionModel;
  commands: CommandRegistry;
  trans: TranslationBundle;
}): React.ReactElement {
  const state = useConnection(model);
  const nodes = state.kind === 'snapshot' ? state.nodes : [];
  const bars = useBars(model);
  const count = nodes.filter(node => node.state === 'online').length;
  const text = trans._n('%1 node online', '%1 nodes online', count, count);
  const running =
    state.kind === 'snapshot'
      ? state.jobs.filter(job => job.state === 'running')
      : [];
  const share = meanShare(running, bars);
  return (
    <button
      title={trans.__('EasyRemote: show the nodes')}
      onClick={() => {
        void commands.execute(CommandIDs.showPanel);
      }}
    >
      <remoteIcon.react tag="span" width="14px" height="14px" />
      {text}
      {running.length > 0 && (
        <>
          {' · '}
          {trans.__('%1 running', running.length)}
        </>
      )}
      {share !== null && (
        <>
          <ProgressBar
            share={share}
            label={trans.__('Progress of the jobs')}
            text={percent(share)}
          />
          {percent(share)}
        </>
      )}
    </button>
  );
}
