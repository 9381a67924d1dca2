/** The ids of the commands. */

export const CommandIDs = {
  insertCell: 'easyremote:insert-cell',
  copyName: 'easyremote:copy-name',
  showPanel: 'easyremote:show-panel',
  retry: 'easyremote:retry'
};
