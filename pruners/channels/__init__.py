"""Channels removed for real: thinner layers of the same kind, chosen within a budget."""
