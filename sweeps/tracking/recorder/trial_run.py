"""A trial's run: W&B's file of it, made of what its journal says."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import wandb

from sweeps.tracking.journal import Event
from sweeps.tracking.mode import quiet
from sweeps.tracking.recorder import ending
from sweeps.tracking.run_files import mark
from trainables.metric_names import DENSITY
from trainables.places.folders import at_hand
from trainables.places.place import place_of

_FLUSH_INTERVAL = 1.0  # seconds; what a reader of the file lacks at most (wandb's default: 15)
_LONGEST_NAME = 120  # of a study in its artifact's name, which may have 128 characters


class TrialRun:
    """One W&B run, offline; ``file`` is W&B's own file of it once the run is open.

    Another run, ``dense``, is made with the first trial that tells of the study's dense network.
    """

    def __init__(self, key: str, settings: Mapping[str, Any]) -> None:
        self.is_over = False
        self.files: list[Path] = []
        self._key, self._settings = key, settings
        self._run: wandb.Run | None = None
        self._begin: Mapping[str, Any] = {}
        self._last_step = -1
        self._axes: set[str] = set()

    @property
    def file(self) -> Path | None:
        """Return W&B's file of the run, None as long as it has not begun."""
        return self.files[0] if self.files else None

    def apply(self, event: Event) -> None:
        """Put what a journal's line says into the run.

        Of one that is over, which a driver may tell of again before its journal is done with, nothing.
        """
        if self.is_over:
            return
        if "begin" in event:  # of a trial that begins again the last is right about where its result will be
            self._begin = event["begin"] | {"dense_link": self._link(event["begin"]["dense"])}
            self._run = self._run or self._opened(self._key, self._begin)
        elif "point" in event and self._run is not None:
            self._log(event)
        elif "end" in event and self._run is not None:
            self._end(event["end"])

    def interrupt(self) -> None:
        """Close a run whose trial goes on with another driver."""
        if self._run is not None:
            self._run.finish(exit_code=1)

    def _link(self, key: str) -> str:
        """Return a run's id, as a link where the page's address is known."""
        named, entity = run_id(self._settings, key), self._settings["entity"]
        if entity is None:
            return f"run {named}"
        app = wandb.util.app_url(wandb.setup().settings.base_url)
        path = "/".join(map(quote, (entity, self._settings["project"], "runs", named)))
        return f"[{named}]({app}/{path})"

    def _opened(self, key: str, begin: Mapping[str, Any]) -> wandb.Run:
        """Open a run in a new file, and remove those that earlier drivers have left of it."""
        settings, name = quiet(), run_id(self._settings, key)
        settings.x_transaction_log_flush_interval = _FLUSH_INTERVAL
        settings.x_disable_stats = True  # they would be the driver's load, not the trial's
        settings.x_disable_meta = (
            True  # the driver's machine, and its command line, which may hold a password
        )
        settings.x_save_requirements = False
        settings.disable_git = (
            True  # the driver's folder; study.json has the commit, and no remote's password
        )
        settings.program = "tombola"
        settings.sweep_id = self._settings.get("sweep_id")
        folder = Path(self._settings["folder"])
        earlier = list(folder.glob(f"*run-*-{name}"))
        run = wandb.init(
            project=self._settings["project"],
            entity=self._settings["entity"],
            id=name,
            group=self._settings["study"],
            dir=folder.parent,  # wandb adds its own folder's name
            mode="offline",
            reinit="create_new",
            settings=settings,
            **{n: begin[n] for n in ("name", "job_type", "tags", "config", "notes") if n in begin},
        )
        file = Path(run.dir).parent / f"run-{name}.wandb"
        for left in earlier:
            if left != file.parent:
                shutil.rmtree(left, ignore_errors=True)
        run.define_metric("*", step_metric="step")
        self.files.append(file)
        return run

    def _log(self, event: Event) -> None:
        """Log a point and those before it that nobody has heard of, each step once and in order."""
        for earlier in event.get("earlier", ()):
            self._log_row(earlier, {}, event["at"])
        self._log_row(event["point"], event.get("curves", {}), event["at"], event.get("training", ()))

    def _log_row(
        self, point: Mapping[str, Any], curves: Mapping[str, Any], at: float, training: Any = ()
    ) -> None:
        if self._run is None or point["step"] <= self._last_step:
            return
        for row in training:  # a level's own training, before its result
            self._define(row.keys() - {"training/step"}, "training/step")
            self._run.log({**row, "_timestamp": at})
        self._define(curves.keys() - {DENSITY}, DENSITY)
        self._run.log({**point, **curves, "_timestamp": at})
        self._last_step = point["step"]

    def _define(self, names: Any, axis: str) -> None:
        assert self._run is not None
        if names and axis not in self._axes:
            self._run.define_metric(axis)  # else it would be over `step`, which W&B then repeats in each row
        for name in sorted(names - self._axes):
            self._run.define_metric(name, step_metric=axis)
        self._axes |= {axis, *names} if names else set()

    def _end(self, end: Mapping[str, Any]) -> None:
        assert self._run is not None
        result = ending.read_result(self._begin.get("result"))
        points = list(ending.points(result, self._begin["metric"]))
        points = [] if "network" in self._begin else points  # the trial's own run has them
        if (step := end["point"].get("step")) is not None:
            last = next((one for one in points if one["point"]["step"] == step), {})
            points = [one for one in points if one["point"]["step"] < step]
            # one whose driver died has its curves from the result alone
            point, curves = {**last.get("point", {}), **end["point"]}, end["curves"] or last.get("curves", {})
            points.append({**last, "point": point, "curves": curves})
        for point in points:
            self._log({"at": end["at"], **point})
        shown = ending.shown(self._begin, end, result)
        self._run.summary.update({**shown.summary, **{n: _table(t) for n, t in shown.tables.items()}})
        self._run.notes = self._begin.get("notes", shown.notes)
        if network := self._begin.get("network"):
            self._log_network(network)
        # one who ran `wandb sync` meanwhile marked a file that was not whole
        mark(self.files[0]).unlink(missing_ok=True)
        self._run.finish(exit_code=1 if end.get("failed") else 0)
        if shown.dense:
            self._make_dense(shown.dense)
        self.is_over = True

    def _log_network(self, folder: str) -> None:
        """Log a network's folder, with its mask or decomposition, as an artifact."""
        assert self._run is not None
        artifact = wandb.Artifact(f"{self._settings['study'][:_LONGEST_NAME]}-best", type="model")
        with at_hand(place_of(folder)) as here:
            artifact.add_dir(str(here))
            self._run.log_artifact(artifact)

    def _make_dense(self, figures: Mapping[str, Any]) -> None:
        """Make the run of the dense network that the trial was made from, unless there is one."""
        key = self._begin["dense"]
        folder = Path(self._settings["folder"])
        if any(folder.glob(f"offline-run-*-{self._settings['id']}-{key}")):
            return
        run = self._opened(
            key,
            {
                "name": key,
                "job_type": "dense",
                "tags": ["dense"],
                "config": {
                    n: v for n, v in self._begin["config"].items() if n in ("task", "training", "seeds")
                },
                "notes": f"The dense network that the runs with config.dense = {run_id(self._settings, key)} "
                "were made from.",
            },
        )
        run.summary.update(dict(figures))
        run.finish()


def run_id(settings: Mapping[str, Any], key: str) -> str:
    """Return the id of the run of a trial or another network of the study."""
    return f"{settings['id']}-{key}"


def _table(rows: list[Mapping[str, Any]]) -> wandb.Table:
    columns: list[str | int] = list(dict.fromkeys(name for row in rows for name in row))
    return wandb.Table(columns=columns, data=[[row.get(str(name)) for name in columns] for row in rows])
