"""Weights & Biases: one run per trial, all of them held by one object in the driver."""

import logging
import netrc
import os
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

import wandb

from sweeps.errors import SweepError
from sweeps.paths import StudyPaths

Mode = Literal["online", "offline", "disabled"]

_log = logging.getLogger(__name__)
_INIT_TIMEOUT = 20.0  # seconds; an unreachable server costs them once, then the sweep goes on offline
_FINISH_TIMEOUT = 30.0  # seconds; what was not uploaded by then stays on disk
_LAYER = "compress/layer/"


def choose_mode(mode: Mode | None = None) -> Mode:
    """The environment's ``WANDB_MODE``, else ``mode``, else online when an API key is configured (never asked for), else offline.

    Raises:
        SweepError: ``WANDB_MODE`` is none of online, offline and disabled.
    """
    chosen = os.environ.get("WANDB_MODE") or mode or ("online" if _has_key() else "offline")
    if chosen not in get_args(Mode):
        raise SweepError(f"WANDB_MODE is {chosen!r}; it must be online, offline or disabled.")
    return cast(Mode, chosen)


def _has_key() -> bool:
    settings = wandb.setup(settings=_quiet()).settings
    if settings.api_key or settings.identity_token_file:
        return True
    try:
        logins = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return logins.authenticators(urlsplit(settings.base_url).netloc) is not None


def _quiet() -> wandb.Settings:
    return wandb.Settings(silent=True, console="off")


class Tracker:
    """The runs of one study's trials.

    A trial's run has the id ``<study_id>-<key>``: a driver that starts again goes on with the same run. History is over our own
    ``step``, since the server's counter jumps when a run is resumed. Nothing that W&B does fails a trial: where it cannot be
    reached the study goes on offline, says so once, and ``wandb sync`` uploads it later.

    ``mode`` is how further runs are started; it turns from online to offline when W&B fails.
    """

    def __init__(
        self, paths: StudyPaths, *, project: str, entity: str | None, study_name: str, study_id: str, mode: Mode | None = None
    ) -> None:
        self.mode: Mode = choose_mode(mode)
        self._paths = paths
        self._project, self._entity = project, entity
        self._study_name, self._study_id = study_name, study_id
        self._runs: dict[str, wandb.Run] = {}
        self._steps: dict[str, float] = {}

    def start(self, key: str, config: Mapping[str, Any]) -> None:
        """Open the trial's run, or the same run again; a run that is open stays as it is."""
        if key in self._runs or self.mode == "disabled":
            return
        try:
            self._open(key, config)
        except Exception as error:  # wandb raises many kinds, none of which may cost a trial
            if self.mode == "offline":
                _log.warning("W&B records nothing of %s: %s", key, _first_line(error))
                return
            self._go_offline(error)
            self.start(key, config)

    def log(self, key: str, metrics: Mapping[str, Any]) -> None:
        """Add one point to the trial's history at ``metrics["step"]``; a step that is not beyond the last one was logged before.

        Only ``step``, ``epoch`` and names with a slash are ours. The choice of each layer and whatever is no number go to the summary.
        """
        run = self._runs.get(key)
        if run is None or metrics["step"] <= self._steps[key]:
            return
        history, summary = _split(metrics)
        try:
            run.log(history)
            # Layers do not change while a trial retrains: said with the first point, they need not be said again.
            run.summary.update(summary if self._steps[key] < 0 else {n: v for n, v in summary.items() if not n.startswith(_LAYER)})
            self._steps[key] = metrics["step"]
        except Exception as error:
            self._drop(key, error)

    def finish(self, key: str, summary: Mapping[str, Any], failed: str | None = None) -> None:
        """Close the trial's run with its last metrics; with a reason in ``failed`` W&B shows it as failed."""
        run = self._runs.get(key)
        if run is None:
            return
        numbers, others = _split(summary)
        try:
            run.summary.update(numbers | others | ({"failed": failed} if failed else {}))
            run.finish(exit_code=1 if failed else 0)
            del self._runs[key], self._steps[key]
        except Exception as error:
            self._drop(key, error)

    def close(self) -> None:
        """Close the runs that are still open, as interrupted: the next driver goes on with them."""
        for key in list(self._runs):
            self.finish(key, {}, failed="interrupted")

    def _open(self, key: str, config: Mapping[str, Any]) -> None:
        is_baseline = key.startswith("baseline-")
        settings = _quiet()
        settings.init_timeout, settings.finish_timeout, settings.finish_timeout_raises = _INIT_TIMEOUT, _FINISH_TIMEOUT, True
        settings.x_disable_stats = True  # they would be the driver's load, not the trial's
        wandb.setup(settings=_quiet())
        run = wandb.init(
            project=self._project,
            entity=self._entity,
            id=f"{self._study_id}-{key}",
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
        self._runs[key] = run
        self._steps[key] = run.summary.get("step", -1) if run.resumed else -1

    def _drop(self, key: str, error: Exception) -> None:
        """Go on without this trial's run; what it logged is on disk."""
        del self._runs[key], self._steps[key]
        if self.mode == "online":
            self._go_offline(error)
        else:
            _log.warning("W&B records no more of %s: %s", key, _first_line(error))

    def _go_offline(self, error: Exception) -> None:
        self.mode = "offline"
        _log.warning("W&B failed (%s), so the study goes on offline: `wandb sync` uploads %s later.", _first_line(error), self._paths.wandb)


def _split(metrics: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """What belongs to the history, and what to the summary alone."""
    ours = {name: value for name, value in metrics.items() if name in ("step", "epoch") or "/" in name}
    history = {name: value for name, value in ours.items() if isinstance(value, int | float) and not name.startswith(_LAYER)}
    return history, {name: value for name, value in ours.items() if name not in history}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
