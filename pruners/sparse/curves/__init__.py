"""How much a network's outputs move over one layer's density, and a budget spent by it."""
