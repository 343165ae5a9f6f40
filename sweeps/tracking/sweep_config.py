"""A sweep file as W&B knows sweeps."""

from collections.abc import Mapping
from typing import Any

from sweeps.sweep_file.sweep import Sweep

_METHODS = {"grid": "grid", "random": "random", "qmc": "random"}


def sweep_config(sweep: Sweep) -> dict[str, Any]:
    """Return the sweep as W&B's own sweep page wants it.

    W&B knows three methods: whatever searches by what it found is called bayes. Nobody but this project's
    driver hands out trials, so nothing is searched by it.
    """
    file = sweep.file
    objective = file.objectives[0]
    return {
        "name": file.name,
        "description": file.description or "",
        "method": _METHODS.get(file.method, "bayes"),
        "metric": {"name": objective.name, "goal": objective.goal},
        "parameters": _nested(sweep.resolved().get("parameters") or {}),
    }


def _nested(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with dotted names as W&B nests them, as the runs' configurations are nested."""
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        *sections, last = name.split(".")
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {"parameters": {}})["parameters"]
        inner[last] = {key: value for key, value in parameter.items() if value is not None}
    return found
