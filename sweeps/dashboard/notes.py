"""What Optuna's dashboard shows in its notes: what a study found, how a trial ended, what a person wrote."""

import html
import json
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial

from sweeps.report.drawing.wording import name_of, with_unit
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import OUTCOME, REASON, TRIAL_METRICS, outcome_of, root_of
from trainables.metric_names import OF_A_LAYER
from trainables.places.place import Place, write_whole

_SPREAD = "_std"  # how the names end of the spreads over replicates
_OF_PEOPLE = "dashboard:"  # how the attributes begin in which the dashboard keeps what people write
_SCREENING = "screening/"  # how these begin in our file where they are of the screening
_WHAT_SCREENING_IS = "Trials scored without training; the best of them are trained in the study itself."
_PATIENCE = 30.0  # seconds before the study's sentence, for which every result is read, is found anew


class Notes:
    """The notes of one study and its trials, as the attributes in which Optuna's dashboard looks for them.

    ``found`` tells what the study found. What people write into notes in the dashboard takes the place of
    ours, and is kept in the study's folder, in ``dashboard.json``. A screening's study has notes of its own.
    """

    def __init__(self, paths: StudyPaths, found: Callable[[], str]) -> None:
        self._paths = paths
        self._found = found
        self._sentence, self._as_of = "", -_PATIENCE
        self._written: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}

    @property
    def _file(self) -> Place:
        return self._paths.root / "dashboard.json"

    def of(self, trials: Iterable[FrozenTrial], report: str | None) -> dict[str, Any]:
        """Return the notes of the study and of these trials as attributes of the study.

        ``report`` is the path under which the dashboard's server has the report.
        """
        study = shlex.quote(str(self._paths.root))
        ours = self._of_trials(
            trials, lambda root: f"Its network: `tombola export {study} --trial {root} --to FOLDER`"
        )
        written = {name: value for name, value in self._written.items() if name.startswith(_OF_PEOPLE)}
        return _note(None, self._of_study(report)) | ours | written

    def of_screening(self, trials: Iterable[FrozenTrial]) -> dict[str, Any]:
        """Return the notes of the screening and of its trials as attributes of its study."""
        ours = self._of_trials(trials, lambda root: "Scored without training: it left no network.")
        written = {
            name.removeprefix(_SCREENING): value
            for name, value in self._written.items()
            if name.startswith(_SCREENING)
        }
        return _note(None, _WHAT_SCREENING_IS) | ours | written

    def keep(self, attribute: str, value: Any, *, is_of_screening: bool) -> bool:
        """Keep what a person wrote in the dashboard; False for an attribute that is no note."""
        if not attribute.startswith(_OF_PEOPLE):
            return False
        key = _SCREENING + attribute if is_of_screening else attribute
        self._written = {**self._written, key: value}  # other threads may be reading the old one
        write_whole(self._file, json.dumps(self._written, indent=1).encode())
        return True

    def _of_study(self, report: str | None) -> str:
        if time.monotonic() - self._as_of > _PATIENCE:
            self._sentence, self._as_of = self._found(), time.monotonic()
        study = shlex.quote(str(self._paths.root))
        lines = [
            *([f"[The report]({report})"] if report else []),
            f"The best network: `tombola export {study} --to FOLDER`",
            f"More trials: `tombola resume {study} --trials N`",
        ]
        return "\n".join([_as_text(self._sentence), "", *(f"- {line}" for line in lines)])

    def _of_trials(self, trials: Iterable[FrozenTrial], left: Callable[[int], str]) -> dict[str, Any]:
        """Return the notes of trials; ``left`` says what a complete one left, by its root."""
        notes: dict[str, Any] = {}
        for trial in trials:
            notes |= _note(trial._trial_id, _of_trial(trial, left))
        return notes


def _of_trial(trial: FrozenTrial, left: Callable[[int], str]) -> str:
    outcome, root = outcome_of(trial), root_of(trial)
    begun_again = f"Part of trial {root}, which was begun more than once: a driver or a worker died."
    if outcome == "abandoned":
        return begun_again
    text = _of_complete(trial, left(root)) if outcome == "complete" else _of_incomplete(trial, outcome)
    return text if root == trial.number else f"{begun_again}\n\n{text}"


def _of_incomplete(trial: FrozenTrial, outcome: str) -> str:
    said = trial.user_attrs.get(OUTCOME, outcome).replace("_", " ")
    return f"{said.capitalize()}. {_as_text(trial.user_attrs.get(REASON, ''))}".rstrip()


def _of_complete(trial: FrozenTrial, left: str) -> str:
    figures = network_figures(trial.user_attrs.get(TRIAL_METRICS, {}))
    told = [name for name in figures if name_of(name) != name and not name.endswith(_SPREAD)]
    rows = [f"| {name_of(name)} | {with_unit(name, figures[name])} |" for name in told]
    table = "\n".join(["| | |", "|---|---|", *rows])
    return f"{table}\n\n{left}"


def _as_text(text: str) -> str:
    """Return a text for Markdown, in which an angle bracket begins HTML."""
    return html.escape(text, quote=False)


def network_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that tell of a trial's whole network, not of one of its layers."""
    return {
        name: value
        for name, value in metrics.items()
        if isinstance(value, int | float) and not name.startswith(OF_A_LAYER)
    }


def _note(trial_id: int | None, text: str) -> dict[str, Any]:
    of_trial = "" if trial_id is None else f"{trial_id}:"
    return {f"dashboard:{of_trial}note_ver": 0, f"dashboard:{of_trial}note_str:0": text}
