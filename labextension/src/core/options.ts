/** What the user chose for the panel: kept in the settings, no DOM. */

import { ISignal, Signal } from '@lumino/signaling';

export type Section = 'nodes' | 'functions' | 'jobs' | 'sessions';

/** The settings of `schema/panel.json`. */
export interface IOptions {
  sort: 'name' | 'load';
  onlyOnline: boolean;
  onlyGpu: boolean;
  hiddenSections: Section[];
  /** Seconds. */
  metricsInterval: number;
  /** Empty for none. */
  defaultNode: string;
  /** Seconds; 0 for never. */
  notifyAfter: number;
}

export const DEFAULTS: IOptions = {
  sort: 'name',
  onlyOnline: false,
  onlyGpu: false,
  hiddenSections: [],
  metricsInterval: 1,
  defaultNode: '',
  notifyAfter: 60
};

/** What is needed of `ISettingRegistry.ISettings`. */
export interface ISettings {
  readonly composite: object;
  readonly changed: ISignal<unknown, void>;
  set(key: string, value: string | number | boolean | string[]): Promise<void>;
}

/** The options, from the settings as soon as those are loaded. */
export class OptionsModel {
  get value(): IOptions {
    return this._value;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Follow these settings, and keep in them what changes from now on. */
  bind(settings: ISettings): void {
    this._settings = settings;
    const read = () => {
      this._update(settings.composite);
    };
    settings.changed.connect(read);
    read();
  }

  /** Change one option: at once here, and soon in the settings. */
  async set<K extends keyof IOptions>(key: K, value: IOptions[K]) {
    this._update({ [key]: value });
    await this._settings?.set(key, value);
  }

  private _update(changes: object): void {
    this._value = { ...this._value, ...changes };
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _value: IOptions = DEFAULTS;
  private _settings: ISettings | null = null;
}
