"""Options that people write, read in one place: each is checked where it is written."""
