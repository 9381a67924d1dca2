"""How a node is replaced by newer code in the same process, with what runs in its processes."""
