"""Which names a cell reads and writes, and what has to travel with them."""
