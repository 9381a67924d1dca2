"""Where cells run: nodes, sessions, and what these hold already."""
