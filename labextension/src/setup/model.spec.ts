import { describe, expect, it } from 'vitest';
import { Refusal } from '../core/request';
import { SetupModel } from './model';

function modelOf(answer: (path: string, body?: object) => unknown) {
  const asked: [string, object?][] = [];
  const model = new SetupModel(async (path, body) => {
    asked.push([path, body]);
    return (await answer(path, body)) as never;
  });
  return { model, asked };
}

describe('the model of the first run', () => {
  it('offers nothing until it has heard, nor when it can not hear', async () => {
    const { model } = modelOf(() => {
      throw new TypeError('no network');
    });
    expect(model.state.offer).toBeNull();
    await model.load();
    expect(model.state.offer).toEqual({ start: '', connect: false });
    expect(model.state.error).toBeNull();
  });

  it('is busy while it starts', async () => {
    const states: (string | null)[] = [];
    const { model, asked } = modelOf(() => ({}));
    model.stateChanged.connect(({ state }) => states.push(state.busy));
    await model.start();
    expect(states).toEqual(['starting', null]);
    expect(asked).toEqual([['setup/start', {}]]);
  });

  it.each([
    [new Refusal('a typo', 'key'), 'key', 'a typo'],
    [new Refusal('nobody there', 'address'), 'address', 'nobody there'],
    [new Refusal('not what I take', 'failed'), 'address', 'not what I take']
  ])('tells where to look after %s', async (error, place, message) => {
    const { model } = modelOf(() => {
      throw error;
    });
    expect(await model.connect('my-vps', 'key')).toBe(false);
    expect(model.state.error).toEqual({ place, message });
    await model.start();
    expect(model.state.error?.place).toBe('start');
  });

  it('forgets the error when the next try is well', async () => {
    let fails = true;
    const { model } = modelOf(() => {
      if (fails) {
        throw new Refusal('no', 'key');
      }
      return {};
    });
    await model.connect('my-vps', 'key');
    fails = false;
    expect(await model.connect('my-vps', 'key')).toBe(true);
    expect(model.state.error).toBeNull();
  });

  it('keeps no key', async () => {
    const { model } = modelOf(() => ({}));
    await model.connect('my-vps', 'er_client_secret');
    expect(JSON.stringify(model.state)).not.toContain('secret');
  });
});
