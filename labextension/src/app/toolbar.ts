/** The plugin of the picker in the toolbar of notebooks. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { IAttachments } from '../attach/attachments';
import { tellWhereNotLoaded } from '../attach/notLoaded';
import { Picker } from '../attach/picker';
import { INotebookPanel } from '../notebook/notebook';
import { IConnectionModel } from '../core/tokens';

export const toolbar: JupyterFrontEndPlugin<void> = {
  id: 'easyremote:toolbar',
  description: 'Where the remote cells of a notebook run, in its toolbar.',
  autoStart: true,
  requires: [IConnectionModel, IAttachments],
  optional: [IToolbarWidgetRegistry, ITranslator],
  activate: (
    { commands }: JupyterFrontEnd,
    model: IConnectionModel,
    attachments: IAttachments,
    registry: IToolbarWidgetRegistry | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('easyremote');
    // `schema/toolbar.json` says where it stands.
    registry?.addFactory<INotebookPanel>('Notebook', 'easyremote', panel => {
      const attachment = attachments.of(panel);
      const onAttached = () => {
        void tellWhereNotLoaded(attachment, panel, commands, trans);
      };
      return new Picker({ attachment, model, onAttached, trans });
    });
  }
};
