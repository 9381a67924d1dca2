/** The plugin that completes the names of nodes, also while the kernel is too busy to do it. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  CompletionHandler,
  ICompletionProvider,
  ICompletionProviderManager
} from '@jupyterlab/completer';
import { completions } from '../notebook/completion';
import { IConnectionModel } from '../core/tokens';

export const completer: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:completer',
  description: 'Completes the names of nodes, also while the kernel is busy.',
  autoStart: true,
  requires: [IConnectionModel],
  optional: [ICompletionProviderManager],
  activate: (
    _: JupyterFrontEnd,
    model: IConnectionModel,
    manager: ICompletionProviderManager | null
  ) => {
    manager?.registerProvider(new NodeNames(model));
  }
};

/**
 * Always answers, also when the kernel answers too: a kernel's status does not
 * say whether its main thread is free. JupyterLab shows equal entries once.
 */
class NodeNames implements ICompletionProvider {
  constructor(model: IConnectionModel) {
    this._model = model;
  }

  readonly identifier = 'easyremote:nodes';
  /** Ranks above what JupyterLab finds in the text of the cell. */
  readonly rank = 600;
  readonly renderer = null;

  isApplicable(): Promise<boolean> {
    return Promise.resolve(true);
  }

  fetch({
    text,
    offset
  }: CompletionHandler.IRequest): Promise<CompletionHandler.ICompletionItemsReply> {
    const { state } = this._model;
    const nodes = state.kind === 'snapshot' ? state.nodes : [];
    const found = completions(
      Array.from(text).slice(0, offset).join(''), // it counts characters
      nodes.filter(({ state }) => state === 'online').map(node => node.node_id)
    );
    return Promise.resolve({
      start: offset - Array.from(found?.fragment ?? '').length,
      end: offset,
      items: (found?.texts ?? []).map(label => ({ label, type: 'easyremote' }))
    });
  }

  private readonly _model: IConnectionModel;
}
