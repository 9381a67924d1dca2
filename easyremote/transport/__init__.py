"""A Link on a live connection: a WebSocket, or a pipe."""
