"""Weights & Biases: one run per trial, kept by a process beside the driver."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.study.paths import StudyPaths
from sweeps.tracking import journal
from sweeps.tracking.beginning import without_secrets
from sweeps.tracking.mode import Mode, choose_mode
from sweeps.tracking.points import point_of, rest_of
from sweeps.tracking.recorder_process import RecorderProcess
from trainables.places.object_path import ObjectPath

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """Where W&B shows a study: its project and entity, and the study's name and id.

    ``sweep`` is the study as a W&B sweep, where W&B is to have one.
    """

    project: str
    entity: str | None
    study_name: str
    study_id: str
    sweep: Mapping[str, Any] | None = None


class Tracker:
    """The runs of one study's trials.

    A trial's run has the id ``<study_id>-<key>``: a driver that starts again goes on with the same run.
    Nothing here speaks to W&B, or waits for it: what is said goes to a journal (`sweeps.tracking.journal`),
    of which another process makes W&B's offline files, and uploads them while they grow. W&B's troubles are
    said once; what it lacks at the end ``wandb sync`` uploads. ``waited`` counts the seconds that the driver
    waited at its end.

    Raises:
        SweepError: ``WANDB_MODE`` is none of online, offline and disabled.
    """

    def __init__(self, paths: StudyPaths, labels: Labels, mode: Mode | None = None) -> None:
        self.mode = choose_mode(mode)
        self.waited = 0.0
        self._folder = paths.wandb
        is_object = isinstance(paths.root, ObjectPath)
        self._settings = {
            "folder": str(paths.wandb.absolute()),
            "project": labels.project,
            "entity": labels.entity,
            "study": labels.study_name,
            "id": labels.study_id,
            "online": self.mode == "online",
            "sweep": labels.sweep,
            "copies": str(paths.root / "wandb") if is_object else None,
        }
        self._recorder: RecorderProcess | None = None
        self._fails = False
        if self.mode != "disabled" and paths.wandb.is_dir():
            self._wake()

    def start(self, key: str, run: Mapping[str, Any]) -> None:
        """Begin the trial's run, or go on with it; ``run`` is what W&B shows of it before it is over."""
        self._say(key, {"begin": dict(run)})

    def log(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Add one point to the trial's history at ``metrics["step"]``.

        A step that is not beyond the last one was logged before. A lottery's level also gives
        ``density/<track>``, whose axis is the density. Metrics without a step, as a trial has that failed
        before its first, are no point.
        """
        if "step" in metrics:
            self._say(key, point_of(metrics))

    def finish(self, key: str, outcome: str, metrics: Mapping[str, Any], failed: str | None = None) -> None:
        """Close the trial's run with its last metrics; with a reason in ``failed`` W&B shows it as failed."""
        end = {"outcome": outcome, "failed": without_secrets(failed)}
        self._say(key, {"end": {**end, **point_of(metrics), **rest_of(metrics)}})

    def unfinished(self) -> set[str]:
        """Return the keys of the trials whose runs an earlier driver has left without their end."""
        if self.mode == "disabled":
            return set()
        return {key for key, path in journal.journals(self._folder).items() if _lacks_end(path)}

    def close(self) -> None:
        """Wait a short while for what W&B has not got yet.

        Runs that have not ended stay as they are: the next driver goes on with them.
        """
        if self._recorder is not None:
            self.waited = self._recorder.close()
            self._recorder = None

    def _say(self, key: str, event: journal.Event) -> None:
        if self.mode == "disabled" or self._fails:
            return
        try:
            journal.append(self._folder, key, event)
        except OSError as error:
            self._give_up(error)
        else:
            self._wake()

    def _wake(self) -> None:
        try:
            self._recorder = self._recorder or RecorderProcess(self._settings)
        except OSError as error:
            self._give_up(error)
        else:
            self._recorder.wake()

    def _give_up(self, error: OSError) -> None:
        """Say it once: a full disk costs the study its runs and nothing else."""
        self._fails = True
        _log.warning("W&B's runs record no more: %s", error)


def _lacks_end(path: Path) -> bool:
    try:
        return "end" not in journal.last_event(path)
    except FileNotFoundError:  # the recorder of an earlier driver has just done with it
        return False
