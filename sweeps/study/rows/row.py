"""What a row of the study says, and which rows are one trial.

A trial is known by its *root*, the number of the row that first asked for it. When its driver dies, that row
is told FAIL and a waiting row with the same parameters and the attribute ``root`` takes its place, so that a
trial may own several rows and ends exactly once.
"""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

ROOT, OUTCOME, REASON, TRIAL_METRICS, DETAILS = "root", "outcome", "reason", "metrics", "details"
ENQUEUED = "enqueued"
"""What the sweep file's ``enqueue`` gave to the row that was made for it."""
ENDED = ("complete", "stopped_early", "failed", "infeasible")
_PENDING = (TrialState.RUNNING, TrialState.WAITING)


def root_of(row: FrozenTrial | Trial) -> int:
    """Return the number under which a row's trial is known."""
    root: int = row.user_attrs.get(ROOT, row.number)
    return root


def outcome_of(row: FrozenTrial) -> str:
    """Return how a row ended, or how it stands.

    That is complete, stopped_early, failed, infeasible, abandoned (its driver died), running or waiting.
    """
    if row.state == TrialState.COMPLETE:
        return "complete"
    if row.state in _PENDING:
        return "running" if row.state == TrialState.RUNNING else "waiting"
    outcome: str = row.user_attrs.get(OUTCOME, "abandoned")
    return outcome


def rows_by_trial(study: optuna.Study) -> dict[int, list[FrozenTrial]]:
    """Return all rows of each trial by its root, in order."""
    by_root: dict[int, list[FrozenTrial]] = {}
    for row in study.get_trials(deepcopy=False):
        by_root.setdefault(root_of(row), []).append(row)
    return by_root


def standing(rows: Sequence[FrozenTrial]) -> FrozenTrial:
    """Return the row that speaks for a trial: the one that ended it, else the newest that is under way."""
    ended = [r for r in rows if outcome_of(r) in ENDED]
    return ended[0] if ended else rows[-1]
