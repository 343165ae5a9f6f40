"""Methods that replace a layer by two thinner ones: which rank, how many subspaces, within a budget."""
