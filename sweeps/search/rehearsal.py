"""Every kind of trial of a sweep, tried on one batch before anything is trained."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from sweeps.errors import Incompatible, SweepError
from sweeps.search.feasibility import check_one, smallest, stages_of, trial_of
from sweeps.search.prepare import Prepared
from sweeps.sweep_file.sections import TrialSections
from trainables.config import TrialConfig, trial_config
from trainables.errors import Refused
from trainables.execution.rehearsal import rehearse
from trainables.execution.trial_setting import TrialSetting
from trainables.task.task import sources

_MOST = 24
_NO_MATTER = ("epochs", "batch_size", "lr", "weight_decay", "schedule")
"""What of a training decides how long and how well it goes, not whether it can begin."""


def check(prepared: Prepared) -> None:
    """Train the network, and what each method makes of it, for one step.

    The first `_MOST` kinds of trial that differ in more than numbers are tried.

    Raises `SweepError` with the place of the key to blame.
    """
    sweep = prepared.sweep
    tried: set[str] = set()
    for sections in _kinds(prepared):
        kind = _kind(sections)
        if kind in tried or len(tried) >= _MOST:
            continue
        tried.add(kind)
        config = trial_of(sweep.file.trainable, sections)
        try:
            _rehearsed(
                json.dumps(trial_config.dump_python(config, mode="json")),
                tuple(sources(config.task).values()),
            )
        except Refused as error:
            raise SweepError(f"{sweep.where(error.key)}: {error}") from error


@lru_cache(maxsize=128)
def _rehearsed(config: str, _: tuple[str, ...]) -> None:
    """Rehearse a trial once in this process for each state of the user's code."""
    trial: TrialConfig = trial_config.validate_python(json.loads(config))
    recipe = stages_of(trial)
    rehearse(TrialSetting.of(trial), smallest(recipe), recipe, trial.compression.int8)


def _kinds(prepared: Prepared) -> Iterator[TrialSections]:
    """Yield trials that stand for all others, those left out that cannot be."""
    yield from map(prepared.baseline_sections, prepared.baselines)
    for draw in (prepared.first_draw, *prepared.sweep.draws_for_all()):
        try:
            sections = prepared.sweep.sections(draw)
            if check_one(prepared.sweep, sections).over <= 0:
                yield sections
        except Incompatible:
            continue


def _kind(sections: TrialSections) -> str:
    training = {name: value for name, value in asdict(sections.training).items() if name not in _NO_MATTER}
    training |= {name: bool(training[name]) for name in ("momentum", "label_smoothing")}
    told: dict[str, Any] = {"task": asdict(sections.task), "training": training}
    compression = sections.compression
    told |= {"method": compression.method, "options": compression.options}
    told |= {"distilled": compression.distillation is not None, "int8": compression.int8}
    return json.dumps(told, sort_keys=True, default=repr)
