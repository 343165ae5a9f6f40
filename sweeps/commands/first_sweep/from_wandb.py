"""Turn a W&B sweep file into one of ours: what has the same meaning is kept, the rest is named."""

from collections.abc import Mapping
from typing import Any

from sweeps.commands.first_sweep.compose import name_of
from sweeps.errors import SweepError

_SAME = {
    "lr": "training.lr",
    "learning_rate": "training.lr",
    "batch_size": "training.batch_size",
    "epochs": "training.epochs",
    "optimizer": "training.optimizer",
    "momentum": "training.momentum",
    "weight_decay": "training.weight_decay",
    "wd": "training.weight_decay",
    "label_smoothing": "training.label_smoothing",
}
"""What people call a setting of ours."""
_KEPT = ("project", "entity", "method", "run_cap")
_NOT_OURS = {
    "program": "trials run Tombola's own training: task names your network and data",
    "command": "trials run Tombola's own training",
    "controller": "Optuna searches, in the driver",
    "description": "a study has a name only",
    "job": "trials run on Ray",
}
_METRICS = {"accuracy": "val/accuracy", "acc": "val/accuracy", "loss": "val/loss"}


def from_wandb(given: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return ``base``, a first sweep, with what a W&B sweep says; and a sentence for each thing left out.

    Raises `SweepError` where the file is no mapping.
    """
    if not isinstance(given, Mapping):
        raise SweepError("A W&B sweep file is a mapping of keys.")
    sweep = dict(base)
    left_out: list[str] = []
    for key in _KEPT:
        if key in given:
            sweep[key] = given[key]
    if isinstance(given.get("name"), str):
        sweep["name"] = name_of(given["name"])
    if "metric" in given:
        sweep["metric"] = _metric(given["metric"], left_out)
    if "early_terminate" in given:
        sweep["early_terminate"] = _early_terminate(given["early_terminate"], left_out)
        sweep["compression"] = {**sweep["compression"], "retrain_epochs": 9}
    if "parameters" in given:
        sweep["parameters"] = _parameters(given["parameters"], sweep, left_out)
        # W&B's parameters are what is searched, in place of the layers
        for key in ("per_layer", "screen"):
            sweep.pop(key, None)
    for key in given.keys() - {*_KEPT, "name", "metric", "early_terminate", "parameters"}:
        left_out.append(f"{key}: {_NOT_OURS.get(key, 'no key of ours')}.")
    return sweep, sorted(left_out)


def _metric(given: Any, left_out: list[str]) -> dict[str, Any]:
    name = str(given.get("name", "")) if isinstance(given, Mapping) else str(given)
    goal = given.get("goal") if isinstance(given, Mapping) else None
    plain = name.rpartition("/")[2].lower().removeprefix("val_").removeprefix("valid_").removeprefix("test_")
    ours = _METRICS.get(plain)
    if ours is None:
        left_out.append(f"metric.name {name}: val/accuracy stands in its place.")
        return {"name": "val/accuracy", "goal": "maximize"}
    return {"name": ours, "goal": goal or ("minimize" if ours == "val/loss" else "maximize")}


def _early_terminate(given: Any, left_out: list[str]) -> dict[str, Any]:
    known = {key: given[key] for key in ("type", "min_iter", "max_iter", "eta") if key in given}
    for key in given.keys() - known.keys():
        why = "brackets are not made, one ladder of epochs is" if key in ("s", "strict") else "no key of ours"
        left_out.append(f"early_terminate.{key}: {why}.")
    if "max_iter" in known and "min_iter" not in known:
        # W&B's ladder goes down from max_iter, and begins at its share
        known["min_iter"] = max(1, known["max_iter"] // known.get("eta", 3) ** int(given.get("s", 1)))
    return known


def _parameters(given: Mapping[str, Any], sweep: dict[str, Any], left_out: list[str]) -> dict[str, Any]:
    """Return the parameters that are settings of ours; a single value becomes the setting itself."""
    found: dict[str, Any] = {}
    for name, how in given.items():
        setting = _SAME.get(str(name).lower(), name if str(name).startswith(("training.", "task.")) else "")
        if not setting:
            left_out.append(
                f"parameters.{name}: no setting of ours; an option of your network's is "
                f"task.network_options.{name}."
            )
        else:
            found[setting] = how
            section, _, key = setting.partition(".")
            if isinstance(sweep.get(section), Mapping):
                sweep[section] = {k: v for k, v in sweep[section].items() if k != key}
    return found
