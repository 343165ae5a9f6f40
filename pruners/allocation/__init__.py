"""A budget spent over layers, given as numbers alone: what each option costs, and its error."""
