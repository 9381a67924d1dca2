/** The version of EasyRemote that this page has, as Python writes it. */

export const VERSION = '3.0.0.dev0';
