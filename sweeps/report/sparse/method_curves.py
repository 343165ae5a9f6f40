"""A sparse study's trials by method and control, each a curve over the densities it was run at."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.report.drawing import chart
from sweeps.report.drawing.density import Point
from sweeps.report.drawing.wording import percent, plain, quality_of, setting_of, value_of, values_of
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.sweep_file.space import setting
from trainables.metric_names import DENSITY

METHOD, CONTROL, INVERT = "compression.method", "compression.control", "compression.options.invert"
_APART = (METHOD, CONTROL, INVERT, "budget.keep_ratio", "budget.parameters")
"""What tells a curve or a point on it; any other setting of a grid is named in the curve's label."""
CONTROLS = {"none": "solid", "shuffle": "dash", "random": "dashdot", "reinit": "dot", "inverted": "longdash"}
"""The line of each control."""
_LINES = ("solid", "dash", "dot", "dashdot", "longdash")
CONTROL_NAMES = {
    "none": "as the method says",
    "shuffle": "shuffled in each layer",
    "random": "random mask, same layer densities",
    "reinit": "weights drawn anew",
    "inverted": "highest scores removed",
}


@dataclass(frozen=True)
class MethodCurve:
    """Trials that differ in how many weights they keep and in nothing else.

    ``settings`` says what else was set on a grid, in words.
    """

    method: str
    control: str
    settings: tuple[str, ...]
    trials: tuple[TrialRecord, ...]

    @property
    def rest(self) -> str:
        """Return all settings as one text."""
        return ", ".join(self.settings)

    @property
    def label(self) -> str:
        """Return the curve's name in a legend."""
        control = "" if self.control == "none" else CONTROL_NAMES[self.control]
        return ", ".join(part for part in (self.method, control, self.rest) if part)

    def points(self, record: StudyRecord) -> list[Point]:
        """Return the quality over density, one value a replicate."""
        quality = quality_of(record)
        return [Point(t.metrics[DENSITY], values_of(t, quality)) for t in self.trials]

    def at(self, kept: str) -> TrialRecord | None:
        """Return the trial with this share of the weights, as `percent` writes it."""
        return next((t for t in self.trials if percent(t.metrics[DENSITY]) == kept), None)

    def nearest(self, density: float) -> TrialRecord:
        """Return the trial that comes nearest to this share of the weights."""
        return min(self.trials, key=lambda t: abs(t.metrics[DENSITY] - density))


def method_curves(record: StudyRecord) -> list[MethodCurve]:
    """Return the complete masks of a study by method, control and, on a grid, whatever else was searched.

    Methods come in the sweep file's order, each one's controls behind it.
    """
    quality, grid = quality_of(record), record.sweep.get("method") == "grid"
    found: dict[tuple[str, str, tuple[str, ...]], list[TrialRecord]] = {}
    for trial in record.complete:
        if DENSITY not in trial.metrics or value_of(record, trial, quality) is None:
            continue
        inverted = setting_of(record, trial, INVERT)
        control = "inverted" if inverted else str(setting_of(record, trial, CONTROL) or "none")
        rest = [(setting(n), v) for n, v in trial.params.items() if setting(n) not in _APART] if grid else []
        said = tuple(f"{name.rpartition('.')[2]} {plain(value)}" for name, value in rest)
        found.setdefault((str(setting_of(record, trial, METHOD)), control, said), []).append(trial)
    curves = [
        MethodCurve(*key, tuple(sorted(trials, key=lambda t: -t.metrics[DENSITY])))
        for key, trials in found.items()
    ]
    searched = (record.sweep.get("parameters") or {}).get(METHOD) or {}
    # a method may be written with parameters of its own
    listed = [one["value"] if isinstance(one, dict) else one for one in searched.get("values", ())]
    methods = list(dict.fromkeys([*listed, *(curve.method for curve in curves)]))
    return sorted(
        curves,
        key=lambda curve: (methods.index(curve.method), curve.rest, list(CONTROLS).index(curve.control)),
    )


def colors(found: Sequence[MethodCurve]) -> dict[str, str]:
    """Choose a colour for every method."""
    methods = dict.fromkeys(curve.method for curve in found)
    return {method: chart.SERIES[place % len(chart.SERIES)] for place, method in enumerate(methods)}


def looks(found: Sequence[MethodCurve]) -> list[tuple[str, str]]:
    """Choose a colour and a line for every curve: of several settings the last one decides over the line."""
    by_method = colors(found)
    hues = dict.fromkeys((curve.method, *_hue(curve)) for curve in found)
    lines = dict.fromkeys(curve.settings[-1] for curve in found if len(curve.settings) > 1)
    chosen = []
    for curve in found:
        place = list(hues).index((curve.method, *_hue(curve)))
        color = chart.SERIES[place % len(chart.SERIES)] if curve.settings else by_method[curve.method]
        line = list(lines).index(curve.settings[-1]) if len(curve.settings) > 1 else 0
        chosen.append((color, _LINES[line % len(_LINES)]))
    return chosen


def _hue(curve: MethodCurve) -> tuple[str, ...]:
    return curve.settings[:-1] or curve.settings


def lowest_common_density(found: Sequence[MethodCurve]) -> float | None:
    """Return the least share of weights that every curve was run at, to three digits.

    None where there is none.
    """
    shared = set.intersection(
        *({float(f"{t.metrics[DENSITY]:.3g}") for t in curve.trials} for curve in found)
    )
    return min(shared, default=None)
