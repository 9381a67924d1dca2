/** The side panel: its sections, and when the connection has to be open for it. */

import { ITranslator } from '@jupyterlab/translation';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import { IDisposable } from '@lumino/disposable';
import { Message } from '@lumino/messaging';
import { AccordionPanel, PanelLayout, Widget } from '@lumino/widgets';
import * as React from 'react';
import { Footer } from '../footer/footer';
import { Functions } from '../functions/section';
import { Jobs } from '../jobs/section';
import { acceptCells } from '../notebook/drop';
import { Nodes } from '../nodes/section';
import { OptionsModel, Section } from '../core/options';
import { Sessions } from '../sessions/section';
import { IConnectionModel } from '../core/tokens';
import { remoteIcon } from '../ui/icons';
import { IPanelProps } from '../ui/state';

/** The id of the widget, for the shell. */
export const PANEL_ID = 'easyremote-panel';

/** Heights of the sections, relative to each other. */
const SIZES = [3, 1.2, 1.8, 1.2];

export class EasyRemotePanel extends SidePanel {
  constructor(props: IPanelProps, translator: ITranslator) {
    super({ translator });
    const { model, options, trans } = props;
    this._model = model;
    this._options = options;
    this.id = PANEL_ID;
    this.title.icon = remoteIcon;
    // JupyterLab shows it as the tooltip; Notebook 7 as the menu entry "Show EasyRemote".
    this.title.caption = 'EasyRemote';
    this.addClass('jp-EasyRemote-panel');

    const nodes = <Nodes {...props} />;
    const { node } = this._addSection('nodes', trans.__('Nodes'), nodes);
    acceptCells(node, (cells, nodeId) => {
      props.actions.move(nodeId, cells);
    });
    this._addSection(
      'functions',
      trans.__('Functions'),
      <Functions {...props} />
    );
    this._addSection('jobs', trans.__('Jobs'), <Jobs {...props} />);
    this._addSection('sessions', trans.__('Sessions'), <Sessions {...props} />);
    options.changed.connect(this._onOptions);
    this._onOptions();

    const footer = ReactWidget.create(<Footer {...props} />);
    footer.addClass('jp-EasyRemote-footer');
    (this.layout as PanelLayout).addWidget(footer);
  }

  override dispose(): void {
    this._release();
    this._options.changed.disconnect(this._onOptions);
    for (const section of this._sections.values()) {
      section.dispose();
    }
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

  private _addSection(
    name: Section,
    label: string,
    view: React.ReactElement
  ): Widget {
    const section = ReactWidget.create(view);
    section.addClass('jp-EasyRemote-section');
    section.addClass(`jp-mod-${name}`);
    section.title.label = label;
    this._sections.set(name, section);
    return section;
  }

  /** Have those sections in the panel that are not hidden by the settings. */
  private _placeSections(): void {
    const hidden = this._options.value.hiddenSections.join();
    if (hidden === this._hidden) {
      return;
    }
    this._hidden = hidden;
    for (const section of this._sections.values()) {
      section.parent = null;
    }
    for (const [name, section] of this._sections) {
      if (!hidden.split(',').includes(name)) {
        this.addWidget(section);
      }
    }
    if (this.content instanceof AccordionPanel) {
      this.content.setRelativeSizes(SIZES);
    }
  }

  private _acquire(): void {
    this._lease ??= this._model.acquire();
  }

  private _release(): void {
    this._lease?.dispose();
    this._lease = null;
  }

  private readonly _onOptions = () => {
    this._placeSections();
  };
  private readonly _model: IConnectionModel;
  private readonly _options: OptionsModel;
  private readonly _sections = new Map<Section, Widget>();
  private _hidden: string | null = null;
  private _lease: IDisposable | null = null;
}
