"""Singular values of layers' slices, and the errors that follow from them."""
