/** The side panel: its sections, and when it wants to be kept up to date. */

import { ITranslator } from '@jupyterlab/translation';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import { IDisposable } from '@lumino/disposable';
import { Message } from '@lumino/messaging';
import { AccordionPanel, PanelLayout } from '@lumino/widgets';
import * as React from 'react';
import { Footer } from './footer/footer';
import { Nodes } from './nodes/nodes';
import { Running } from './running/running';
import { IConnectionModel } from './tokens';
import { remoteIcon } from './ui/icons';

/** Heights of the sections, relative to each other. */
const SIZES = [2, 1];

export class EasyRemotePanel extends SidePanel {
  constructor(model: IConnectionModel, translator: ITranslator) {
    super({ translator });
    this._model = model;
    const trans = translator.load('easyremote');
    this.id = 'easyremote-panel';
    this.title.icon = remoteIcon;
    // JupyterLab shows it as the tooltip; Notebook 7 as the menu entry "Show EasyRemote".
    this.title.caption = 'EasyRemote';
    this.addClass('jp-EasyRemote-panel');

    const props = { model, trans };
    this._addSection(trans.__('Nodes'), <Nodes {...props} />);
    this._addSection(trans.__('Running'), <Running {...props} />);
    if (this.content instanceof AccordionPanel) {
      this.content.setRelativeSizes(SIZES);
    }

    const footer = ReactWidget.create(<Footer {...props} />);
    footer.addClass('jp-EasyRemote-footer');
    (this.layout as PanelLayout).addWidget(footer);
  }

  override dispose(): void {
    this._release();
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this._acquire();
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._acquire();
  }

  protected override onBeforeHide(message: Message): void {
    super.onBeforeHide(message);
    this._release();
  }

  protected override onBeforeDetach(message: Message): void {
    super.onBeforeDetach(message);
    this._release();
  }

  private _addSection(label: string, view: React.ReactElement): void {
    const section = ReactWidget.create(view);
    section.addClass('jp-EasyRemote-section');
    section.title.label = label;
    this.addWidget(section);
  }

  private _acquire(): void {
    this._lease ??= this._model.acquire();
  }

  private _release(): void {
    this._lease?.dispose();
    this._lease = null;
  }

  private readonly _model: IConnectionModel;
  private _lease: IDisposable | null = null;
}
