"""Which network is taken, and how sure it is that it is better."""
