"""Weights & Biases: one run per trial, all of them held by one object in the driver."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import wandb

from sweeps.study.paths import StudyPaths
from sweeps.tracking.by_density import by_density
from sweeps.tracking.mode import Mode, choose_mode, quiet
from trainables.metric_names import DENSITY, OF_A_LAYER
from trainables.places.folders import upload_tree
from trainables.places.object_path import ObjectPath

_log = logging.getLogger(__name__)
_INIT_TIMEOUT = 20.0  # seconds; an unreachable server costs them once, then the study goes on offline
_FINISH_TIMEOUT = 30.0  # seconds; what was not uploaded by then stays on disk
_FLUSH_INTERVAL = 1.0  # seconds; what a driver killed with -9 can lose of W&B's file (wandb's default: 15)
_EMPTY_FILE = 7  # bytes; the head of a .wandb file


@dataclass
class _Open:
    run: wandb.Run
    config: Mapping[str, Any]
    last_step: float
    curves: set[str] = field(default_factory=set)


class Tracker:
    """The runs of one study's trials.

    A trial's run has the id ``<study_id>-<key>``: a driver that starts again goes on with the same run.
    History is over our own ``step``, since the server's counter jumps when a run is resumed. Nothing that W&B
    does fails a trial: where it fails, the study goes on offline, says so once, and ``wandb sync`` uploads
    the rest later.

    ``mode`` is how runs are written now; it turns from online to offline when W&B fails.

    Raises:
        SweepError: ``WANDB_MODE`` is none of online, offline and disabled.
    """

    def __init__(
        self,
        paths: StudyPaths,
        *,
        project: str,
        entity: str | None,
        study_name: str,
        study_id: str,
        mode: Mode | None = None,
    ) -> None:
        self.mode = choose_mode(mode)
        self._paths = paths
        self._project, self._entity = project, entity
        self._study_name, self._study_id = study_name, study_id
        self._open: dict[str, _Open] = {}

    def start(self, key: str, config: Mapping[str, Any]) -> None:
        """Open the trial's run, or the same run again; a run that is open stays as it is."""
        if self.mode != "disabled" and key not in self._open:
            self._attempt(key, partial(self._start, key, config))

    def log(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Add one point to the trial's history at ``metrics["step"]``.

        A step that is not beyond the last one was logged before.

        Only ``step``, ``epoch`` and names with a slash are ours. The choice of each layer and whatever is no
        number go to the summary. A lottery's level also gives ``density/<track>``, whose axis is the density.
        Metrics without a step, as a trial has that failed before its first, are no point.
        """
        if key in self._open and metrics.get("step", -1) > self._open[key].last_step:
            self._attempt(key, partial(self._log, key, metrics))

    def finish(self, key: str, summary: Mapping[str, Any], failed: str | None = None) -> None:
        """Close the trial's run with its last metrics; with a reason in ``failed`` W&B shows it as failed."""
        if key in self._open:
            self._attempt(key, partial(self._finish, key, summary, failed))

    def close(self) -> None:
        """Close the runs that are still open, as interrupted: the next driver goes on with them.

        Where the study is in an object store, offline runs are copied there.
        """
        for key in list(self._open):
            self._attempt(key, partial(self._interrupt, key))
        if isinstance(self._paths.root, ObjectPath):
            for run in self._paths.wandb.glob("offline-run-*"):
                upload_tree(run, self._paths.root / "wandb" / run.name)

    def _attempt(self, key: str, action: Callable[[], None]) -> None:
        """Do it, offline if W&B fails.

        What fails offline too (a full disk) costs the trial its run and nothing else.
        """
        try:
            action()
        except Exception as error:  # wandb raises many kinds, none of which may cost a trial
            if self.mode == "offline":
                self._open.pop(key, None)
                _log.warning("W&B records no more of %s: %s", key, _first_line(error))
                return
            self._go_offline(error)
            self._attempt(key, action)

    def _go_offline(self, error: Exception) -> None:
        self.mode = "offline"
        _log.warning(
            "W&B failed (%s), so the study goes on offline; `wandb sync %s` uploads it later.",
            _first_line(error),
            self._paths.wandb,
        )
        # Until its service ends, wandb refuses the id of a run whose start failed.
        # The other runs go on in new files.
        with contextlib.suppress(Exception):
            wandb.teardown()
        others, self._open = self._open, {}
        for key, other in others.items():
            self._attempt(key, partial(self._start, key, other.config))

    def _start(self, key: str, config: Mapping[str, Any]) -> None:
        run_id = f"{self._study_id}-{key}"
        self._remove_empty_files(run_id)
        is_baseline = key.startswith("baseline-")
        settings = quiet()
        settings.init_timeout, settings.x_transaction_log_flush_interval = _INIT_TIMEOUT, _FLUSH_INTERVAL
        settings.finish_timeout, settings.finish_timeout_raises = _FINISH_TIMEOUT, True
        settings.x_disable_stats = True  # they would be the driver's load, not the trial's
        # Listing the driver's packages for each run anew would be most of what a run takes; study.json has
        # the versions that matter.
        settings.x_save_requirements = False
        wandb.setup(settings=quiet())
        run = wandb.init(
            project=self._project,
            entity=self._entity,
            id=run_id,
            name=key if is_baseline else f"trial-{key}",
            group=self._study_name,
            job_type="baseline" if is_baseline else "trial",
            config=dict(config),
            dir=self._paths.wandb.parent,  # wandb adds its own folder's name
            mode=self.mode,
            resume="allow",
            reinit="create_new",
            settings=settings,
        )
        run.define_metric("*", step_metric="step")
        self._open[key] = _Open(run, config, run.summary.get("step", -1) if run.resumed else -1)

    def _log(self, key: str, metrics: Mapping[str, Any]) -> None:
        open_run = self._open[key]
        history, summary = _split(metrics)
        levels = by_density(metrics)
        for name in levels.keys() - {DENSITY} - open_run.curves:
            open_run.run.define_metric(name, step_metric=DENSITY)
            open_run.curves.add(name)
        open_run.run.log(history | levels)
        # Layers change from level to level only: said with the first point of a training,
        # they need not be said again.
        is_first = open_run.last_step < 0 or bool(levels)
        open_run.run.summary.update(
            {n: v for n, v in summary.items() if is_first or not n.startswith(OF_A_LAYER)}
        )
        open_run.last_step = metrics["step"]

    def _finish(self, key: str, summary: Mapping[str, Any], failed: str | None) -> None:
        history, others = _split(summary)
        run = self._open[key].run
        run.summary.update(history | others | ({"failed": failed} if failed else {}))
        run.finish(exit_code=1 if failed else 0)
        del self._open[key]

    def _interrupt(self, key: str) -> None:
        self._open[key].run.finish(exit_code=1)
        del self._open[key]

    def _remove_empty_files(self, run_id: str) -> None:
        """Remove the files of runs that hold no record.

        A driver killed just after it opened a run leaves one, for which `wandb sync` refuses the whole run.
        """
        for file in self._paths.wandb.glob(f"*run-*-{run_id}/run-{run_id}.wandb"):
            if file.stat().st_size <= _EMPTY_FILE:
                shutil.rmtree(file.parent)


def _split(metrics: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Return what belongs to the history, and what to the summary alone."""
    ours = {name: value for name, value in metrics.items() if name in ("step", "epoch") or "/" in name}
    history = {
        name: value
        for name, value in ours.items()
        if isinstance(value, int | float) and not name.startswith(OF_A_LAYER)
    }
    return history, {name: value for name, value in ours.items() if name not in history}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
