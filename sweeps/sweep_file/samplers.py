"""Optuna's samplers by the names that a sweep file has for them."""

import copy
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState


class _Grid(optuna.samplers.GridSampler):
    """Optuna's grid, which does not stop the study at its last point: the study's count tells the end."""

    def after_trial(self, *_: object) -> None:
        """Do nothing when a trial ends."""


class CmaEs(optuna.samplers.CmaEsSampler):
    """Optuna's CMA-ES, which draws by a trial's ``place`` in the study in place of its row's number.

    That number is part of its seed, and a trial whose driver died takes a row more.
    """

    place = 0

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what is drawn for the trial."""
        placed = copy.copy(trial)
        placed.number = self.place
        return super().sample_relative(study, placed, search_space)


class Tpe(optuna.samplers.TPESampler):
    """Optuna's TPE, which sees a part of a long study: what a draw costs does not grow with the study.

    ``shown`` is how many finished trials its study is to show to it, the best and the latest.
    """

    shown = 250

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what is drawn together: Optuna's answer, at once where all trials drew the same parameters.

        Optuna compares each parameter of each trial, which takes a fifth of a draw.
        """
        if not self._group and self._is_multivariate(study):
            ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
            spaces = {id(row.distributions): row.distributions for row in ended}
            if len(spaces) == 1:
                (space,) = spaces.values()
                return {name: space[name] for name in sorted(space) if not space[name].single()}
        return super().infer_relative_search_space(study, trial)


SAMPLERS = {
    "tpe": Tpe,
    "random": optuna.samplers.RandomSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "cmaes": CmaEs,
    "gp": optuna.samplers.GPSampler,
    "qmc": optuna.samplers.QMCSampler,
    "grid": _Grid,
    "bayes": Tpe,
}
"""``bayes`` is W&B's word for the model-based search; here it means TPE."""
