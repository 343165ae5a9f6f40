"""Optuna's samplers by the names that a sweep file has for them."""

import optuna


class _Grid(optuna.samplers.GridSampler):
    """Optuna's grid, which does not stop the study at its last point: the study's count tells the end."""

    def after_trial(self, *_: object) -> None:
        """Do nothing when a trial ends."""


SAMPLERS = {
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "gp": optuna.samplers.GPSampler,
    "qmc": optuna.samplers.QMCSampler,
    "grid": _Grid,
    "bayes": optuna.samplers.TPESampler,
}
"""``bayes`` is W&B's word for the model-based search; here it means TPE."""
