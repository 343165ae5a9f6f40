"""Which method is ahead at a share of the weights, how sure that is, and which do no better than a guess."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.report.drawing.wording import count, quality_of, value_of
from sweeps.report.sparse.method_curves import MethodCurve
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.study.selection.chance import at_chance
from sweeps.study.selection.comparison import Comparison
from trainables.metric_names import on_validation

_MOST_LAYERS = 4


@dataclass(frozen=True)
class Standing:
    """The methods at one share of the weights, the best in the mean first.

    ``behind`` holds what the first is ahead of each other by, in their order; None where the seeds differ.
    ``all_guess``: none of them does better than a guess.
    """

    curves: tuple[MethodCurve, ...]
    trials: tuple[TrialRecord, ...]
    behind: tuple[Comparison | None, ...]
    all_guess: bool

    @property
    def tied(self) -> list[str]:
        """Return the labels of the methods that are behind by a standard error at most."""
        others = zip(self.curves[1:], self.behind, strict=True)
        return [curve.label for curve, found in others if found is not None and found.is_tie]


def standing(record: StudyRecord, there: Sequence[tuple[MethodCurve, TrialRecord]]) -> Standing:
    """Rank methods by their trials with one share of the weights."""
    quality = quality_of(record)
    goal = next(o for o in (*record.objectives, *record.measured) if o.name == quality)

    def gain(one: tuple[MethodCurve, TrialRecord]) -> float:
        value = value_of(record, one[1], quality)
        assert value is not None  # a curve holds trials with values only
        return goal.gain(value)

    curves, trials = zip(*sorted(there, key=gain, reverse=True), strict=True)
    behind = tuple(record.between(trials[0], other, goal) for other in trials[1:])
    return Standing(curves, trials, behind, all(_all_guess(record, t) for t in trials))


def chance_of(record: StudyRecord, trial: TrialRecord) -> str:
    """Say that a network does no better than a guess, in how many of its seeds, and which layers are empty.

    Nothing for others, and where accuracy on validation or the number of classes is not known.
    """
    guessing, seeds = _guessing(record, trial), len(trial.replicates)
    if not guessing:
        return ""
    said = "at chance" if guessing == seeds else f"at chance in {guessing} of {seeds} seeds"
    empty = [name for name, layer in trial.layers.items() if not layer.get("params", 1)]
    if not empty:
        return said
    more = f" and {count(len(empty) - _MOST_LAYERS, 'other')}" if len(empty) > _MOST_LAYERS else ""
    layers = "layers" if len(empty) > 1 else "layer"
    return f"{said}; no weight left in {layers} {', '.join(empty[:_MOST_LAYERS])}{more}"


def _all_guess(record: StudyRecord, trial: TrialRecord) -> bool:
    """Tell whether a trial has replicates, and none does better than a guess."""
    return _guessing(record, trial) == len(trial.replicates) > 0


def _guessing(record: StudyRecord, trial: TrialRecord) -> int:
    """Count a trial's replicates that do no better than a guess."""
    accuracy = on_validation("accuracy")
    reached = [one["metrics"][accuracy] for one in trial.replicates if accuracy in one["metrics"]]
    if not trial.validation or quality_of(record) != accuracy:
        return 0
    return at_chance(reached, **trial.validation)
