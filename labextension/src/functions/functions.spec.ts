import { describe, expect, it } from 'vitest';
import {
  argumentsOf,
  callCell,
  fieldsOf,
  IField,
  IFunction,
  python,
  search
} from './functions';

const TRAIN: IFunction = {
  node_id: 'gpu-node',
  name: 'train',
  signature: '(epochs: int, rate: float = 0.1)',
  doc: 'Train a model.',
  streams: false,
  timeout: 0,
  max_concurrency: 0,
  public: false,
  needs: '',
  parameters: {
    properties: {
      epochs: { type: 'integer' },
      rate: { type: 'number', default: 0.1 },
      kind: { enum: ['sgd', 'adam'], default: 'adam' },
      names: { type: 'array', default: [] },
      title: { type: 'string', default: 'a' },
      verbose: { type: 'boolean', default: false }
    },
    required: ['epochs']
  }
};

describe('the fields of a form', () => {
  const fields = fieldsOf(TRAIN) as IField[];

  it('are made of the hints', () => {
    expect(
      fields.map(field => [field.name, field.kind, field.initial])
    ).toEqual([
      ['epochs', 'integer', ''],
      ['rate', 'number', '0.1'],
      ['kind', 'choice', '"adam"'],
      ['names', 'json', '[]'],
      ['title', 'string', 'a'],
      ['verbose', 'boolean', 'false']
    ]);
    expect(fields[2].choices).toEqual(['"sgd"', '"adam"']);
  });

  it('become arguments; what is left out has the value of the function', () => {
    const texts = { epochs: '3', rate: '', names: '["a"]', verbose: 'true' };
    expect(argumentsOf(fields, texts)).toEqual({
      values: {
        epochs: 3,
        kind: 'adam',
        names: ['a'],
        title: 'a',
        verbose: true
      }
    });
  });

  it.each([
    [{}, 'epochs'],
    [{ epochs: '1.5' }, 'epochs'],
    [{ epochs: '1', rate: 'x' }, 'rate'],
    [{ epochs: '1', names: '[' }, 'names']
  ])('name what is wrong in %j: %s', (texts, wrong) => {
    expect(argumentsOf(fields, texts)).toEqual({ wrong });
  });

  it('are none for a generator, or where there is no schema', () => {
    expect(fieldsOf({ ...TRAIN, streams: true })).toBeNull();
    expect(fieldsOf({ ...TRAIN, parameters: null })).toBeNull();
  });
});

describe('the cell that calls a function', () => {
  it('has its stub, and what must be given', () => {
    expect(callCell(TRAIN)).toBe(
      'from easyremote import remote\n\n@remote(node_id="gpu-node")\n' +
        'def train(epochs, rate=0.1, kind="adam", names=[], title="a", ' +
        'verbose=False): ...\n\ntrain(epochs=...)'
    );
  });

  it('iterates over a generator, and keeps an odd name apart', () => {
    const odd = { ...TRAIN, name: 'a-b', streams: true, parameters: null };
    expect(callCell(odd)).toBe(
      'from easyremote import remote\n\n' +
        '@remote(node_id="gpu-node", function_name="a-b", stream=True)\n' +
        'def function(*args, **kwargs): ...\n\n' +
        'for item in function():\n    print(item)'
    );
  });

  it('writes values as Python does', () => {
    const value = { a: [null, true, 'x"'], b: 1.5 };
    expect(python(value)).toBe('{"a": [None, True, "x\\""], "b": 1.5}');
  });
});

describe('the search', () => {
  it('looks at names, nodes and documentation, and orders by node', () => {
    const other = { ...TRAIN, node_id: 'attic', name: 'embed', doc: '' };
    expect(search([TRAIN, other], '').map(fn => fn.name)).toEqual([
      'embed',
      'train'
    ]);
    expect(search([TRAIN, other], 'MODEL gpu')).toEqual([TRAIN]);
  });
});
