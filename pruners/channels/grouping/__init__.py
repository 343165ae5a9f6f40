"""Which channels of a network can only go together, found by following them and tried out."""
