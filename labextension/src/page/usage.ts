/** What has been used on a node, in words. No DOM. */

import { TranslationBundle } from '@jupyterlab/translation';
import { bytes, duration } from '../core/format';
import { IUsageOfKey } from '../core/protocol';

/** The heads of the table; GPUs have a column where any were held. */
export function heads(rows: IUsageOfKey[], trans: TranslationBundle): string[] {
  return [
    trans.__('Key'),
    trans.__('Calls'),
    trans.__('Run time'),
    ...(hasGpus(rows) ? [trans.__('GPU time')] : []),
    trans.__('Sent there'),
    trans.__('Came back')
  ];
}

/** A line below the heads for each key. */
export function lines(
  rows: IUsageOfKey[],
  trans: TranslationBundle
): string[][] {
  return rows.map(row => [
    row.key,
    row.failed === 0
      ? String(row.calls)
      : trans.__('%1 (%2 without a value)', row.calls, row.failed),
    duration(row.run_seconds),
    ...(hasGpus(rows) ? [duration(row.gpu_seconds)] : []),
    bytes(row.argument_bytes),
    bytes(row.result_bytes)
  ]);
}

function hasGpus(rows: IUsageOfKey[]): boolean {
  return rows.some(row => row.gpu_seconds > 0);
}
