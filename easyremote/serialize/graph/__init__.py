"""What two sides share, as one graph of objects: `graph.Graph` is one side's end of it."""
