"""Optuna's journal of a study where no file can grow: in an object store."""
