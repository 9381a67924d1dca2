/** The plugin that loads the settings, for all other plugins. */

import {
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { OptionsModel } from '../core/options';
import { IOptionsModel } from '../core/tokens';

/** Whose schema they have: `schema/panel.json`. */
const ID = 'easyremote:panel';

export const settings: JupyterFrontEndPlugin<IOptionsModel> = {
  id: 'easyremote:settings',
  description: 'The settings of EasyRemote.',
  autoStart: true,
  provides: IOptionsModel,
  optional: [ISettingRegistry],
  activate: (_: JupyterFrontEnd, registry: ISettingRegistry | null) => {
    const options = new OptionsModel();
    void registry?.load(ID).then(loaded => {
      options.bind(loaded);
    });
    return options;
  }
};
