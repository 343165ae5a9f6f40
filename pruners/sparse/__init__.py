"""Methods that remove single weights: how much each one matters, and which are kept."""
