"""Turn the parameters of a W&B sweep into settings of ours: what has the same meaning is kept."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from sweeps.sweep_file.keys import DISTRIBUTIONS
from trainables.config import OPTIMIZERS, TaskConfig, TrainingConfig

_SAME = {
    "lr": "training.lr",
    "learning_rate": "training.lr",
    "batch_size": "training.batch_size",
    "epochs": "training.epochs",
    "num_epochs": "training.epochs",
    "max_epochs": "training.epochs",
    "optimizer": "training.optimizer",
    "optimizer.name": "training.optimizer",
    "optimizer.type": "training.optimizer",
    "momentum": "training.momentum",
    "weight_decay": "training.weight_decay",
    "wd": "training.weight_decay",
    "label_smoothing": "training.label_smoothing",
}
"""What people call a setting of ours."""
_OURS = {
    "training": {field.name for field in fields(TrainingConfig)},
    "task": {field.name for field in fields(TaskConfig)},
}
_TORCHS = ("Adadelta", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop")
_OPTIMIZERS = {name: name for name in OPTIMIZERS} | {name.lower(): f"torch.optim.{name}" for name in _TORCHS}


def settings_of(parameters: Mapping[str, Any], left_out: list[str]) -> dict[str, Any]:
    """Return the parameters that are settings of a trial, by dotted keys, in the form of our sweep files.

    A sentence for each thing that is no setting, or cannot be searched so, goes to ``left_out``.
    """
    found: dict[str, Any] = {}
    for name, how in _leaves(parameters):
        setting = _setting(name)
        if not setting:
            left_out.append(
                f"parameters.{name}: no setting of ours; an option of your network's is "
                f"task.network_options.{name.rpartition('.')[2]}."
            )
        elif setting in found:
            left_out.append(f"parameters.{name}: another parameter is {setting} already.")
        elif (form := _form(name, how, left_out)) is not None:
            if setting == "training.optimizer":
                form = _with_known_optimizers(form)
            found[setting] = _above_zero(name, form, left_out) if setting == "training.lr" else form
    return found


def _leaves(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all parameters, nested ones under dotted names."""
    for name, how in parameters.items():
        if isinstance(how, Mapping) and isinstance(how.get("parameters"), Mapping):
            yield from _leaves(how["parameters"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", how


def _setting(name: str) -> str:
    """Return the setting that a parameter is, also as option parsers and nested files write it; "" for none.

    ``--batch-size`` and ``optimizer.lr`` are such names.
    """
    section, _, key = name.partition(".")
    if key.partition(".")[0] in _OURS.get(section, ()):
        return name
    parts = [part.lstrip("-").replace("-", "_").lower() for part in name.split(".")]
    return _SAME.get(".".join(parts[-2:])) or _SAME.get(parts[-1], "")


def _form(name: str, how: Any, left_out: list[str]) -> Any:
    """Return how a parameter is searched as our files say it; None where it cannot be."""
    if not isinstance(how, Mapping):
        return how  # which is wrong in theirs too, and is said of ours
    form = dict(how)
    if form.pop("probabilities", None) is not None:
        left_out.append(f"parameters.{name}.probabilities: all values are equally likely.")
    kind = form.get("distribution")
    if kind == "categorical_w_probabilities":
        form["distribution"] = "categorical"
    elif kind == "inv_log_uniform_values":  # with 1/x, x too is uniform in its logarithm
        form["distribution"] = "log_uniform_values"
    elif kind == "inv_log_uniform" and all(isinstance(form.get(end), int | float) for end in ("min", "max")):
        form |= {"distribution": "log_uniform", "min": -form["max"], "max": -form["min"]}
    elif kind is not None and kind not in DISTRIBUTIONS:
        left_out.append(
            f"parameters.{name}: Optuna has no distribution {kind}; search it by min and max, or by values."
        )
        return None
    return _without_steps(name, form, left_out)


def _without_steps(name: str, form: dict[str, Any], left_out: list[str]) -> dict[str, Any]:
    """Return a logarithmic range without steps other than 1, which Optuna does not know there."""
    kind, step = form.get("distribution"), form.get("q", 1)
    if kind not in ("q_log_uniform", "q_log_uniform_values") or step == 1:
        return form
    whole = isinstance(step, int | float) and float(step).is_integer()
    drawn = "whole numbers" if whole else "numbers of any kind"
    left_out.append(
        f"parameters.{name}.q: {drawn} are drawn from a logarithmic range, not multiples of {step}."
    )
    kept = {key: value for key, value in form.items() if key != "q"}
    return kept if whole else kept | {"distribution": kind.removeprefix("q_")}


def _above_zero(name: str, form: Any, left_out: list[str]) -> Any:
    """Return a range that begins above 0, where W&B's own examples begin with a learning rate of 0."""
    if not isinstance(form, Mapping) or form.get("distribution", "uniform") not in ("uniform", "q_uniform"):
        return form
    if form.get("min") != 0 or not isinstance(form.get("max"), int | float):
        return form
    least = form["max"] / 1000
    left_out.append(f"parameters.{name}.min: a learning rate is above 0, and {least:g} stands in its place.")
    return {**form, "min": least}


def _with_known_optimizers(form: Any) -> Any:
    """Return the values of ``optimizer`` as we name them: Adam is adam, and RMSprop torch's own."""
    if not isinstance(form, Mapping):
        return form

    def known(value: Any) -> Any:
        return _OPTIMIZERS.get(value.lower(), value) if isinstance(value, str) else value

    changed: dict[str, Any] = dict(form)
    if "value" in form:
        changed["value"] = known(form["value"])
    if isinstance(form.get("values"), list):
        changed["values"] = [known(value) for value in form["values"]]
    return changed
