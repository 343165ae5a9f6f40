"""Which weights may be removed, how many of each layer, and which of them the scores leave."""
