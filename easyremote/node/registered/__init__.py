"""How registered functions run: in threads and on an event loop of their own."""
