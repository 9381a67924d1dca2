import { readFileSync } from 'node:fs';
import { Signal } from '@lumino/signaling';
import { describe, expect, it } from 'vitest';
import { DEFAULTS, ISettings, OptionsModel } from './options';

/** The settings of one plugin, in memory. */
class FakeSettings implements ISettings {
  composite: Record<string, unknown> = { ...DEFAULTS };
  changed = new Signal<this, void>(this);

  set(key: string, value: unknown) {
    this.composite = { ...this.composite, [key]: value };
    this.changed.emit();
    return Promise.resolve();
  }
}

describe('OptionsModel', () => {
  it('has the defaults of the schema before the settings are there', () => {
    const file = new URL('../../schema/panel.json', import.meta.url);
    const schema = JSON.parse(readFileSync(file, 'utf8')) as {
      properties: Record<string, { default: unknown }>;
    };
    const defaults = Object.entries(schema.properties).map(
      ([key, property]) => [key, property.default]
    );
    expect(new OptionsModel().value).toEqual(Object.fromEntries(defaults));
  });

  it('follows the settings', () => {
    const settings = new FakeSettings();
    const options = new OptionsModel();
    options.bind(settings);
    void settings.set('sort', 'load');
    expect(options.value.sort).toBe('load');
  });

  it('keeps a change in the settings', async () => {
    const settings = new FakeSettings();
    const options = new OptionsModel();
    options.bind(settings);
    await options.set('onlyGpu', true);
    expect(settings.composite['onlyGpu']).toBe(true);
  });

  it('changes at once, even where there are no settings', () => {
    const options = new OptionsModel();
    let changes = 0;
    options.changed.connect(() => (changes += 1));
    void options.set('onlyOnline', true);
    expect(options.value.onlyOnline).toBe(true);
    expect(changes).toBe(1);
  });
});
