"""Files that go to a node before the code that reads them, and outputs that come back."""
