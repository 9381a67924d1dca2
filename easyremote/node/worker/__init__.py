"""All that runs inside one child process: cells in an IPython shell, and shipped functions."""
