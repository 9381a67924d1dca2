import { nullTranslator } from '@jupyterlab/translation';
import { describe, expect, it } from 'vitest';
import { samples } from '../core/samples.testing';
import { heads, lines } from './usage';

const trans = nullTranslator.load('easyremote');
const { rows } = samples.usage;

describe('what was used', () => {
  it('is a line for each key', () => {
    expect(heads(rows, trans)).toEqual([
      'Key',
      'Calls',
      'Run time',
      'GPU time',
      'Sent there',
      'Came back'
    ]);
    expect(lines(rows, trans)).toEqual([
      [
        'lab-1',
        '1200 (1 without a value)',
        '40.5\u202fh',
        '38\u202fh',
        '200\u202fMB',
        '4.2\u202fkB'
      ],
      ['lab-2', '3', '45\u202fs', '0\u202fs', '30\u202fB', '30\u202fB']
    ]);
  });

  it('has no column for GPUs where nobody held one', () => {
    const quick = rows.filter(row => row.gpu_seconds === 0);
    expect(heads(quick, trans)).toHaveLength(5);
    expect(lines(quick, trans)[0]).toHaveLength(5);
  });
});
