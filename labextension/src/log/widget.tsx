/** The widget of a log, for the area below the notebooks. */

import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, listIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { LogModel } from './model';
import { LogView } from './view';

export class LogWidget extends ReactWidget {
  constructor(
    model: LogModel,
    callId: string,
    title: string,
    trans: TranslationBundle
  ) {
    super();
    this.callId = callId;
    this.id = `easyremote-log-${callId}`;
    this.addClass('jp-EasyRemote-logWidget');
    this.title.label = title;
    this.title.caption = trans.__('Log of %1', title);
    this.title.icon = listIcon;
    this.title.closable = true;
    this._model = model;
    this._trans = trans;
    void model.run();
  }

  readonly callId: string;

  override dispose(): void {
    this._model.dispose();
    super.dispose();
  }

  protected override render(): React.ReactElement {
    return (
      <LogView
        model={this._model}
        fileName={`job-${this.callId.slice(0, 8)}.txt`}
        trans={this._trans}
      />
    );
  }

  private readonly _model: LogModel;
  private readonly _trans: TranslationBundle;
}
