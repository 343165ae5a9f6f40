"""The test split, which a study reads once, at its end."""

from typing import Any, Literal

from trainables.config import TrialConfig
from trainables.errors import TaskError
from trainables.execution import network
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes.dense import dense
from trainables.results.result import averaged, result_of
from trainables.results.trial_paths import network_folder
from trainables.task.metrics.right_answers import RightAnswers
from trainables.training.device import reproducible


def read_test(config: TrialConfig, which: Literal["dense", "trial"]) -> dict[str, Any]:
    """Evaluate the trial's dense networks, or its compressed ones, on the test split.

    Returns ``test/loss`` and ``test/<metric>`` for each of the task's metrics, averaged over the replicates,
    each with its ``_std``, and ``replicates``: the figures of every seed. Of a task that is measured by
    accuracy these hold in ``right`` which examples of ``val`` and ``test`` were told right (see
    `right_answers.RightAnswers`). Dense networks that the store lacks are trained. Raises `TaskError` when
    the trial has no finished networks.
    """
    with reproducible(config.threads):
        setting = TrialSetting.of(config)
        seeds = sorted(config.seeds)
        read = [_read(setting, _network(config, setting, seed, which)) for seed in seeds]
    replicates = [
        {"seed": seed, **figures, **({"right": right} if right else {})}
        for seed, (figures, right) in zip(seeds, read, strict=True)
    ]
    return {**averaged([figures for figures, _ in read]), "replicates": replicates}


def _read(setting: TrialSetting, tested: network.Network) -> tuple[dict[str, float], dict[str, Any]]:
    """Return a network's figures on test, and which examples of validation and test it tells right."""
    module = tested.in_use
    setting = setting.on_cpu() if tested.int8 else setting
    if setting.metrics[0].reference != "accuracy":
        return setting.evaluate(module, setting.data.test, "test"), {}
    found = {}
    right: dict[str, Any] = {}
    for name, split in (("val", setting.data.validation), ("test", setting.data.test)):
        answers = RightAnswers(setting.data.labels_nothing)
        found = setting.evaluate(module, split, name, {"right": answers})
        if packed := answers.packed():
            right[name] = packed
    return found, right


def _network(config: TrialConfig, setting: TrialSetting, seed: int, which: str) -> network.Network:
    if which == "dense":
        return Run(setting, dense(config, setting.steps_per_epoch), seed).finish()
    folder = network_folder(config, seed)
    if result_of(config) is None or not (folder / "spec.json").exists():
        raise TaskError(f"trial {config.key} has no finished network in {folder}.")
    return network.load_from(folder, config.task, setting.device)
