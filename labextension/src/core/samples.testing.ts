/** The wire samples that the Python tests write and read too. */

import { readFileSync } from 'node:fs';
import { ISessionList, IUsageList, IVariableList, Message } from './protocol';

/** A message by the name of its sample. */
export function sample(name: string): Message {
  return read(name) as Message;
}

/** A snapshot and the deltas that follow it. */
export function exchange(): Message[] {
  return read('exchange') as Message[];
}

/** Answers of the paths. */
export const samples = {
  sessions: read('sessions') as ISessionList,
  variables: read('variables') as IVariableList,
  usage: read('usage') as IUsageList
};

function read(name: string): unknown {
  const folder = '../../../tests/panel/samples/';
  const file = new URL(`${folder}${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8'));
}
