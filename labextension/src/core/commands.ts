/** The ids of the commands. */

export const CommandIDs = {
  insertCell: 'easyremote:insert-cell',
  attach: 'easyremote:attach',
  moveCell: 'easyremote:move-cell',
  moveCellHere: 'easyremote:move-cell-here',
  openNode: 'easyremote:open-node',
  copyName: 'easyremote:copy-name',
  showPanel: 'easyremote:show-panel',
  retry: 'easyremote:retry',
  jobLog: 'easyremote:job-log',
  jobCell: 'easyremote:job-cell',
  jobCancel: 'easyremote:job-cancel',
  jobKill: 'easyremote:job-kill',
  jobReplay: 'easyremote:job-replay',
  jobCopyError: 'easyremote:job-copy-error'
};
