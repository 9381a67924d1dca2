/** The plugins of the EasyRemote extension. */

import { connection } from './connection';
import { commanding } from './commanding';
import { jobs } from './jobs/plugin';
import { sessions } from './jobs/sessions';
import { panel } from './panel';
import { status } from './status';

export * from './tokens';

export default [connection, jobs, panel, commanding, status, sessions];
