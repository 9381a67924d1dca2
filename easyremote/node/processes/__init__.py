"""The supervisor's side of child processes: their start, signals, end and relayed calls."""
