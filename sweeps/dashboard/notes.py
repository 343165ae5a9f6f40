"""What Optuna's dashboard shows in its notes: what a study found, how a trial ended, what a person wrote."""

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
_PATIENCE = 30.0  # seconds before the study's sentence, for which every result is read, is found anew


class Notes:
    """The notes of one study and its trials, as the attributes in which Optuna's dashboard looks for them.

    ``found`` tells what the study found. What people write into notes in the dashboard takes the place of
    ours, and is kept in the study's folder, in ``dashboard.json``.
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
        notes = _note(None, self._of_study(report))
        for trial in trials:
            if text := self._of_trial(trial):
                notes |= _note(trial._trial_id, text)
        return notes | self._written

    def keep(self, attribute: str, value: Any) -> bool:
        """Keep what a person wrote in the dashboard; False for an attribute that is no note."""
        if not attribute.startswith(_OF_PEOPLE):
            return False
        self._written[attribute] = value
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
        return "\n".join([self._sentence, "", *(f"- {line}" for line in lines)])

    def _of_trial(self, trial: FrozenTrial) -> str:
        outcome, root = outcome_of(trial), root_of(trial)
        if outcome == "abandoned" or root != trial.number:
            return f"Part of trial {root}, which was begun more than once: a driver or a worker died."
        if outcome != "complete":
            said = trial.user_attrs.get(OUTCOME, outcome).replace("_", " ")
            return f"{said.capitalize()}. {trial.user_attrs.get(REASON, '')}".rstrip()
        figures = network_figures(trial.user_attrs.get(TRIAL_METRICS, {}))
        told = [name for name in figures if name_of(name) != name and not name.endswith(_SPREAD)]
        rows = [f"| {name_of(name)} | {with_unit(name, figures[name])} |" for name in told]
        table = "\n".join(["| | |", "|---|---|", *rows])
        study = shlex.quote(str(self._paths.root))
        return f"{table}\n\nIts network: `tombola export {study} --trial {root} --to FOLDER`"


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
