/** How long notices stand, in milliseconds; without a time JupyterLab shows none at all. */

export const GLANCE_MS = 1500;
export const READ_MS = 5000;
/** With something to click on. */
export const ACT_MS = 10_000;
