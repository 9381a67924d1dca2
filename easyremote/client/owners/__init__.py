"""What the owner of a node says of it: when it is lent, and how much of it."""
