"""The methods that a study runs for comparison, each once and with nothing searched."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pruners import PrunerError
from sweeps.errors import INFEASIBLE, Incompatible, SweepError
from sweeps.search import feasibility
from sweeps.sweep_file import compatibility
from sweeps.sweep_file.keys import Baseline
from sweeps.sweep_file.sections import TrialSections
from sweeps.sweep_file.sweep import METHOD, Sweep
from trainables.errors import TaskError
from trainables.users_code.methods import method_named

HOW_MUCH = ("budget", "lottery")
"""Sections that say how much is kept."""


def baselines_of(sweep: Sweep, first: Mapping[str, Any]) -> tuple[Baseline, ...]:
    """Return the baselines asked for, and the method itself where the search cannot express its answer."""
    asked = sweep.file.baselines
    searched = sweep.file.per_layer
    in_shapes = searched is not None and searched.tolerance is None and searched.scale is None
    own = sweep.values_of(METHOD) if in_shapes else []
    plain = {baseline.method for baseline in asked if not baseline.options}
    chosen = [*(Baseline(method=method) for method in own if method not in plain), *asked]
    for index, baseline in enumerate(asked):
        place, method = sweep.source.where(["baselines", index]), baseline.method
        try:
            method_named(method)
        except (PrunerError, TaskError) as error:
            raise SweepError(f"{place}: baselines: {error}") from error
        if baseline.name in (other.name for other in chosen if other is not baseline):
            raise SweepError(
                f'{place}: baselines: two are called "{baseline.name}"; give one a name of its own.'
            )
        # A baseline has no parameters, those of layers included: per_layer asks nothing of it.
        compatibility.check(
            sweep.file.model_copy(update={"per_layer": None}),
            baseline_sections(sweep, baseline, first),
            partial(_at, place),
        )
    if chosen:
        moving = [name for name in sweep.space.distributions if name.split(".")[0] in ("task", *HOW_MUCH)]
        if moving:
            raise SweepError(
                f"{sweep.source.where(['baselines'])}: a baseline needs one network and one budget, "
                f"and {moving[0]} is searched; leave one out."
            )
    return tuple(chosen)


def _at(place: str, _: Sequence[str | int]) -> str:
    """Return the same place for whatever is wrong."""
    return place


def baseline_sections(sweep: Sweep, baseline: Baseline, first: Mapping[str, Any]) -> TrialSections:
    """Return a baseline's sections; the sweep's own method keeps the sweep's options beside its own."""
    sections = sweep.sections(first)
    own = sections.compression
    if baseline.method == own.method:
        compression = dataclasses.replace(own, options={**own.options, **baseline.options})
    else:
        compression = dataclasses.replace(
            own, method=baseline.method, options=baseline.options, tolerance={}, layers={}
        )
    return dataclasses.replace(sections, compression=compression)


def checked_sections(sweep: Sweep, baseline: Baseline, first: Mapping[str, Any]) -> TrialSections:
    """Return a baseline's sections, held against the network and the budget. Raises `SweepError`."""
    sections = baseline_sections(sweep, baseline, first)
    listed = sweep.file.baselines
    place: list[str | int] = ["baselines", *([listed.index(baseline)] if baseline in listed else [])]
    try:
        gap = feasibility.check_one(sweep, sections)
    except Incompatible as error:
        if not baseline.options:
            raise
        raise SweepError(
            f"{sweep.source.where([*place, 'options'])}: baselines: {baseline.name}: {error.reason}"
        ) from error
    if gap.over > 0 and baseline in listed:
        said = feasibility.unmet(sweep, gap)
        raise SweepError(f"{sweep.source.where(place)}: baselines: {baseline.name}: {said}", INFEASIBLE)
    return sections
