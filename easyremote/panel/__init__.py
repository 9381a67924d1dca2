"""What the panel shows: one feed of nodes, jobs and logs, for JupyterLab and other front ends."""
