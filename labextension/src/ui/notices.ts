/** Milliseconds for which notices are shown; without a time JupyterLab shows none at all. */

export const GLANCE_MS = 1500;
export const READ_MS = 5000;
/** For a notice with a button. */
export const ACT_MS = 10_000;
