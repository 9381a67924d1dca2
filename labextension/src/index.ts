/** The plugins of the EasyRemote extension. */

import { attachments } from './attach/attachments';
import { connection } from './connection';
import { commanding } from './commanding';
import { completer } from './completer';
import { jobs } from './jobs/plugin';
import { sessions } from './jobs/sessions';
import { settings } from './settings';
import { nodePage } from './page/plugin';
import { panel } from './panel';
import { status } from './status';
import { toolbar } from './toolbar';

export * from './tokens';

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
  sessions,
  toolbar
];
