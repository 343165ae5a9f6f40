"""How long a network's layers take on a device, measured once and kept."""
