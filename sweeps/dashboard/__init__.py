"""Optuna's dashboard on a study, with what the study's folder knows beside it."""
