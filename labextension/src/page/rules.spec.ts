import { describe, expect, it } from 'vitest';
import { changes, IRules, startsWith, written } from './rules';

const known: IRules = {
  rules: { hours: '22-7', only_when_idle: 'yes', on_battery: 'yes' },
  file: '',
  at_start: { hours: '22-7', max_cpu: '50%' },
  refused: {}
};

describe("the owner's rules as a form", () => {
  it('shows a word that limits nothing as nothing', () => {
    expect(written(known)).toEqual({ hours: '22-7', only_when_idle: 'yes' });
  });

  it('says only what has changed, and lifts what was cleared', () => {
    expect(changes(known, written(known))).toEqual({});
    const now = {
      hours: ' ',
      only_when_idle: 'yes',
      max_cpu: ' 25% ',
      on_battery: 'no'
    };
    expect(changes(known, now)).toEqual({
      hours: null,
      max_cpu: '25%',
      on_battery: 'no'
    });
    expect(changes(known, {})).toEqual({ hours: null, only_when_idle: null });
  });

  it('knows what counts again when the node is started the same way', () => {
    expect(startsWith(known)).toEqual(['--max-cpu 50%']);
  });
});
