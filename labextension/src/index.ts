/** The plugins of the EasyRemote extension. */

import { connection } from './connection';
import { panel } from './panel';

export * from './tokens';

export default [connection, panel];
