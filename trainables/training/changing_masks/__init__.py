"""Masks that change while the network under them is trained."""
