"""One layer: its shape, its budget, what it may become, and the module that takes its place."""
