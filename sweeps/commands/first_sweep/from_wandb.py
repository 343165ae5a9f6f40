"""Turn a W&B sweep file into one of ours: what has the same meaning is kept, the rest is named."""

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from sweeps.commands.first_sweep.compose import name_of
from sweeps.commands.first_sweep.wandb_parameters import settings_of
from sweeps.errors import SweepError
from sweeps.sweep_file.objectives.metric import METRICS

_KEPT = ("project", "entity", "description", "method", "run_cap")
_NOT_OURS = {
    "program": "trials run Tombola's own training: task names your network and data",
    "command": "trials run Tombola's own training",
    "controller": "Optuna searches, in the driver",
    "job": "trials run on Ray",
}
_METRICS = {"accuracy": "val/accuracy", "acc": "val/accuracy", "top1": "val/accuracy", "loss": "val/loss"}
_ON_VALIDATION = {"val", "valid", "validation", "eval", "dev", "epoch", "best"}
_EPOCHS, _MOST_EPOCHS = 9, 100
"""Epochs of retraining between which trials are stopped, and the most that a W&B file's iterations may be."""


def from_wandb(given: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return ``base``, a first sweep, with what a W&B sweep says; and a sentence for each thing left out.

    Raises `SweepError` where the file is no mapping.
    """
    if not isinstance(given, Mapping):
        raise SweepError("A W&B sweep file is a mapping of keys.")
    sweep = dict(base)
    left_out: list[str] = []
    told = {key: value for key, value in given.items() if value is not None}
    sweep |= {key: told[key] for key in _KEPT if key in told}
    if "name" in told:
        sweep["name"] = name_of(str(told["name"]))
    if "metric" in told:
        sweep["metric"] = _metric(told["metric"], left_out)
    if "early_terminate" in told and (early := _early_terminate(told["early_terminate"], left_out)):
        sweep["early_terminate"], epochs = early
        sweep["compression"] = {**sweep["compression"], "retrain_epochs": epochs}
    if "parameters" in told:
        _search(told, base, sweep, left_out)
    for key in told.keys() - {*_KEPT, "name", "metric", "early_terminate", "parameters"}:
        left_out.append(f"{key}: {_NOT_OURS.get(key, 'no key of ours')}.")
    return sweep, sorted(left_out)


def _metric(given: Any, left_out: list[str]) -> dict[str, Any]:
    told = given if isinstance(given, Mapping) else {"name": given}
    left_out += [f"metric.{key}: no key of ours." for key in told.keys() - {"name", "goal"}]
    name = str(told.get("name", ""))
    *before, what = re.split(r"[^a-z0-9]+", name.strip().lower())
    ours = _METRICS.get(what, "val/accuracy")
    if what not in _METRICS or not _ON_VALIDATION.issuperset(before):
        left_out.append(f"metric.name {name}: {ours} stands in its place.")
    # what another metric's goal is says nothing of this one's
    goal = told.get("goal") if what in _METRICS else None
    return {"name": ours, "goal": goal or METRICS[ours]}


def _early_terminate(given: Any, left_out: list[str]) -> tuple[dict[str, Any], int] | None:
    """Return when trials are stopped, and of how many epochs of retraining; None where it can be of none."""
    if not isinstance(given, Mapping):
        left_out.append("early_terminate: expected keys with values below it.")
        return None
    known = {key: given[key] for key in ("type", "min_iter", "max_iter", "eta") if key in given}
    for key in given.keys() - known.keys():
        why = "brackets are not made, one ladder of epochs is" if key in ("s", "strict") else "no key of ours"
        left_out.append(f"early_terminate.{key}: {why}.")
    brackets = given.get("s", 1)
    numbers = [brackets, *(known[key] for key in ("min_iter", "max_iter", "eta") if key in known)]
    if not all(isinstance(number, int) for number in numbers):
        return known, _EPOCHS  # what is wrong with it is said of our file
    eta, most = known.get("eta", 3), known.get("max_iter")
    if most is not None and "min_iter" not in known:
        # W&B's ladder goes down from max_iter, and begins at its share
        known["min_iter"] = max(1, most // max(eta, 2) ** min(max(brackets, 0), 64))
    first = known.get("min_iter", 1)
    epochs = most or max(_EPOCHS, first * eta)
    if first < epochs <= _MOST_EPOCHS:
        return known, epochs
    left_out.append(
        f"early_terminate: iterations {first} to {epochs} are none of a network's retraining; "
        "give min_iter and max_iter in its epochs."
    )
    return None


def _search(
    told: Mapping[str, Any], base: Mapping[str, Any], sweep: dict[str, Any], left_out: list[str]
) -> None:
    """Have the sweep search W&B's parameters in place of its layers, where any can be searched."""
    if not isinstance(told["parameters"], Mapping):
        raise SweepError("parameters: expected keys with values below it in a W&B sweep file.")
    found = settings_of(told["parameters"], left_out)
    if "training.momentum" in found and "training.optimizer" not in found:
        # the first sweep's own optimizer has none
        sweep["training"] = {k: v for k, v in sweep["training"].items() if k not in ("optimizer", "lr")}
    for setting in found:
        section, _, key = setting.partition(".")
        if isinstance(sweep.get(section), Mapping):
            sweep[section] = {k: v for k, v in sweep[section].items() if k != key}
    if found:
        sweep["parameters"] = found
    if all(isinstance(how, Mapping) and "value" in how for how in found.values()):
        _search_layers(told, base, sweep, left_out)
        return
    for key in ("per_layer", "screen"):
        sweep.pop(key, None)
    if sweep["method"] == "grid" and "run_cap" not in told:
        sweep["run_cap"] = _points(found)  # a grid of W&B's has no cap


def _search_layers(
    told: Mapping[str, Any], base: Mapping[str, Any], sweep: dict[str, Any], left_out: list[str]
) -> None:
    """Have the first sweep's own search go on with W&B's method and number of trials."""
    if sweep["method"] == "grid":
        sweep["method"] = base["method"]
        left_out.append(f"method grid: no parameter is searched here; {base['method']} searches the layers.")
    if isinstance(told.get("run_cap"), int):
        sweep["screen"] = {**sweep["screen"], "trials": max(sweep["screen"]["trials"], told["run_cap"])}


def _points(parameters: Mapping[str, Any]) -> int:
    """Return the number of points of a grid, a range that is none of whole numbers taken for one."""
    return prod(_choices(how) for how in parameters.values() if isinstance(how, Mapping)) or 1


def _choices(how: Mapping[str, Any]) -> int:
    if isinstance(how.get("values"), list):
        return len(how["values"])
    low, high, step = how.get("min"), how.get("max"), how.get("q", 1)
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int) and step > 0:
        return (high - low) // step + 1
    return 1
