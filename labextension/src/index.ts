/** The plugins of the EasyRemote extension. */

import { attachments } from './attach/attachments';
import { connection } from './app/connection';
import { commanding } from './app/commanding';
import { completer } from './app/completer';
import { jobs } from './jobs/plugin';
import { running } from './jobs/running';
import { settings } from './app/settings';
import { nodePage } from './page/plugin';
import { panel } from './app/panel';
import { status } from './app/status';
import { toolbar } from './app/toolbar';

export * from './core/tokens';
export { IJobActions } from './jobs/actions';

export default [
  settings,
  connection,
  attachments,
  jobs,
  panel,
  nodePage,
  commanding,
  completer,
  status,
  running,
  toolbar
];
