"""What is learnt: a network, its data, its loss and its metrics."""
