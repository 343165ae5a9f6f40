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
from trainables.training.device import reproducible


def read_test(config: TrialConfig, which: Literal["dense", "trial"]) -> dict[str, Any]:
    """Evaluate the trial's dense networks, or its compressed ones, on the test split.

    Returns ``test/loss`` and ``test/<metric>`` for each of the task's metrics, averaged over the replicates,
    each with its ``_std``, and ``replicates``: the figures of every seed. Dense networks that the store lacks
    are trained. Raises `TaskError` when the trial has no finished networks.
    """
    with reproducible(config.threads):
        setting = TrialSetting.of(config)
        figures = [
            setting.evaluate(_network(config, setting, seed, which).module, setting.data.test, "test")
            for seed in sorted(config.seeds)
        ]
    replicates = [
        {"seed": seed, **figure} for seed, figure in zip(sorted(config.seeds), figures, strict=True)
    ]
    return {**averaged(figures), "replicates": replicates}


def _network(config: TrialConfig, setting: TrialSetting, seed: int, which: str) -> network.Network:
    if which == "dense":
        return Run(setting, dense(config, setting.steps_per_epoch), seed).finish()
    folder = network_folder(config, seed)
    if result_of(config) is None or not (folder / "spec.json").exists():
        raise TaskError(f"trial {config.key} has no finished network in {folder}.")
    return network.load(folder, config.task, setting.device)
