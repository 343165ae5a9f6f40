"""The weights of the layers that stand for one, from its own weight, and the errors that these leave."""
