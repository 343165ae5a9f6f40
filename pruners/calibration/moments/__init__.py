"""Second moments of what layers are given, and of the gradients at their outputs."""
