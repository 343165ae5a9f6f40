"""Weights & Biases: one run per trial, held by one object in the driver."""
