"""What the user's own module uses."""

OFFSET = 1
