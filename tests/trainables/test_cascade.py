"""Cascades: the steps' budgets, what goes on from step to step, and what is told of it."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import pruners
import trainables
from tests.trainables.configs import TASK, TRAINING, comparable, same_bits, trial, weights
from trainables.config import BudgetConfig, CompressionConfig, DistillationConfig, TrialConfig
from trainables.execution import run
from trainables.execution.compression.divergence import divergence
from trainables.execution.identity import stage_identity
from trainables.execution.run import Run
from trainables.execution.trial_setting import TrialSetting
from trainables.recipes import RECIPES
from trainables.recipes.cascade import cascade_budgets
from trainables.results.trial_paths import network_folder
from trainables.stages import Compress, ProjectBack, RecalibrateBN, Recipe, Train
from trainables.trials.epochs_needed import epochs_needed
from trainables.trials.screening import screened

compress = RECIPES["compress"].stages


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    """Every test starts without dense networks in memory."""
    run._kept.clear()


def cascade(root: Path, key: str = "0", steps: int = 2, method: str = "svd", **changes: Any) -> TrialConfig:
    """A trial that trains two epochs and retrains each step for one."""
    of_compression = {n: changes.pop(n) for n in ("control", "options", "distillation") if n in changes}
    compression = CompressionConfig(
        method, recalibrate_bn=64, retrain_epochs=1, cascade=steps, calibration_images=64, **of_compression
    )
    training = replace(TRAINING, epochs=2)
    return trial(
        root, key, **{"compression": compression, "training": training, "keep_ratio": 0.25} | changes
    )


def test_the_steps_of_a_decomposition(tmp_path: Path) -> None:
    def step(keep_ratio: float) -> Recipe:
        one = Compress("svd", BudgetConfig(keep_ratio=keep_ratio), calibration_images=64)
        return (one, RecalibrateBN(64), Train(10, 20, 20))

    config = cascade(tmp_path, steps=3, keep_ratio=0.125)
    assert compress(config, 10) == (
        Train(0, 20, 20),
        *step(0.5),
        ProjectBack(),
        *step(0.25),
        ProjectBack(),
        *step(0.125),
    )


def test_the_steps_of_a_mask_go_on_from_it(tmp_path: Path) -> None:
    found = compress(cascade(tmp_path, method="magnitude"), 10)
    first, second = (Compress("magnitude", BudgetConfig(keep_ratio=keep)) for keep in (0.5, 0.25))
    again = (RecalibrateBN(64), Train(10, 20, 20))
    assert found == (Train(0, 20, 20), first, *again, second, *again)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    budget=st.one_of(
        st.builds(BudgetConfig, keep_ratio=st.floats(1e-6, 1)),
        st.builds(BudgetConfig, flops_ratio=st.floats(1e-6, 1)),
        st.builds(BudgetConfig, latency_ratio=st.floats(1e-6, 1)),
        st.builds(BudgetConfig, parameters=st.integers(1, 6000)),
    ),
    steps=st.integers(1, 12),
    method=st.sampled_from(["alds", "magnitude"]),
)
def test_budgets_fall_in_equal_ratios_to_the_one_asked_for(
    budget: BudgetConfig, steps: int, method: str
) -> None:
    config = cascade(Path("nowhere"), steps=steps, method=method, budget=budget)
    found = cascade_budgets(config)
    assert len(found) == steps and found[-1] is budget
    values = [Fraction(getattr(one, budget.kind)) for one in found if one]
    assert values == sorted(values, reverse=True)
    for step, value in enumerate(values[:-1], 1):
        if budget.parameters:
            dense = max(5192, budget.parameters)  # the weights of both layers, counted by hand
            power = dense ** (steps - step) * budget.parameters**step
            assert value**steps >= power > max(value - 1, 0) ** steps
        else:
            assert float(value) == pytest.approx(float(values[-1]) ** (step / steps), rel=1e-11)


def test_weights_left_out_are_no_part_of_the_dense_total(tmp_path: Path) -> None:
    few = BudgetConfig(parameters=50)
    config = cascade(tmp_path, method="magnitude", options={"exclude": ["0"]}, budget=few)
    network = trainables.build_network(TASK)
    total = sum(layer.params for layer in pruners.prunable(network, ["0"]).values())
    [first, _] = cascade_budgets(config)
    assert first and first.parameters and (first.parameters - 1) ** 2 < 50 * total <= first.parameters**2
    with pytest.raises(pruners.PrunerError, match="exclude"):
        cascade_budgets(cascade(tmp_path, method="magnitude", options={"exclude": "0"}, budget=few))


def test_one_step_is_what_it_always_was(tmp_path: Path) -> None:
    """The recipe, and so every address in a store of before."""
    config = cascade(tmp_path, steps=1, keep_ratio=0.3)
    identities = [stage_identity(stage) for stage in compress(config, 10)]
    assert [one["stage"] for one in identities] == ["Train", "Compress", "RecalibrateBN", "Train"]
    assert identities[1] == {
        "stage": "Compress",
        "method": "svd",
        "budget": {"keep_ratio": 0.3, "parameters": None, "flops_ratio": None},
        "options": {},
        "tolerance": {},
        "layers": {},
        "scoring_per_class": 10,
        "control": None,
        "calibration_images": 64,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"retrain_epochs": 0}, "compression.cascade retrains the network after each step"),
        ({"method": "magnitude", "control": "shuffle"}, "control shuffle has no place in a cascade"),
        ({"method": "magnitude", "control": "reinit"}, "control reinit has no place in a cascade"),
    ],
)
def test_a_cascade_that_means_nothing_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    config = cascade(tmp_path)
    with pytest.raises(trainables.TaskError, match=said):
        compress(replace(config, compression=replace(config.compression, **change)), 10)


def run_of(config: TrialConfig) -> Run:
    setting = TrialSetting.of(config)
    return Run(setting, compress(config, setting.steps_per_epoch), config.seeds[0])


def weights_left(small: nn.Module) -> int:
    """Count the weights of a network that are no zeros, without biases and BatchNorm."""
    return sum(int(tensor.count_nonzero()) for tensor in small.parameters() if tensor.dim() > 1)


@pytest.mark.parametrize("method", ["alds", "magnitude", "ft"])
def test_a_cascade_from_dense_to_result(tmp_path: Path, method: str) -> None:
    config = cascade(tmp_path, steps=3, method=method, keep_ratio=0.2)
    told = trainables.run_trial(config)
    assert told["epochs_trained"] == 5 and (told["epoch"], told["step"]) == (1, 5 * 17)
    needed = epochs_needed([config])
    assert (needed.shared, needed.alone) == (5, 5)

    found, dense = run_of(config), trainables.build_network(TASK)
    keys, total = dense.state_dict().keys(), sum(tensor.numel() for tensor in dense.parameters())
    before = weights_left(dense)
    for count, stage in enumerate(found.recipe, 1):
        network = found.up_to(count)
        if isinstance(stage, ProjectBack):
            assert network.artifact is None and network.module.state_dict().keys() == keys
        if isinstance(stage, Compress):
            asked = stage.budget.keep_ratio
            assert network.artifact is not None and asked is not None
            limit = (math.ceil if method == "magnitude" else math.floor)(asked * 5192)
            assert network.artifact.params == weights_left(network.module) <= limit < before
            assert method != "magnitude" or network.artifact.params == limit
            before = network.artifact.params
        elif network.artifact is not None:
            assert weights_left(network.module) == before
    assert before <= math.ceil(0.2 * 5192)

    small = pruners.load(network_folder(config, 0)).apply(dense)
    assert weights_left(small) == before
    beside = sum(tensor.numel() for tensor in small.parameters() if tensor.dim() == 1)
    left = before + beside
    assert (told["compress/params"], told["compress/params_kept"]) == (left, left / total)
    validation = trainables.load_data(TASK).validation
    with torch.no_grad():
        right = small.eval()(validation.inputs).argmax(1) == validation.labels
    assert right.double().mean().item() == told["val/accuracy"] > 0.6


def test_the_last_step_s_error_is_from_the_network_that_it_compressed(tmp_path: Path) -> None:
    """And the divergence is from the dense one's outputs, whatever lies between."""
    config = cascade(tmp_path, options={"refit": "none", "metric": "frobenius"}, method="alds")
    config = replace(config, divergence_images=96)
    told, found = trainables.run_trial(config), run_of(config)
    last = max(count for count, stage in enumerate(found.recipe) if isinstance(stage, Compress))
    projected, artifact = found.up_to(last), found.up_to(last + 1).artifact
    assert isinstance(artifact, pruners.Decomposition)
    again = artifact.project_back(found.up_to(last + 1).module)
    errors = []
    for name in artifact.layers:
        whole, left = (module.get_parameter(f"{name}.weight") for module in (projected.module, again))
        errors.append(((whole - left).norm() / whole.norm()).item())
    assert told["compress/error"] == pytest.approx(max(errors), rel=1e-4) and max(errors) > 0.01
    dense, compressed = found.up_to(1), found.up_to(len(found.recipe) - 1)
    assert told["compress/divergence"] == divergence(dense, compressed, found.setting, 0, 96)


def test_distillation_follows_the_dense_network_at_every_step(tmp_path: Path) -> None:
    config = cascade(tmp_path, distillation=DistillationConfig())
    found = run_of(config)
    trainings = [stage for _, stage in found.trains()]
    assert [stage.distillation is not None for stage in trainings] == [False, True, True]
    for stage in trainings[1:]:
        assert found._teacher(stage) is found.up_to(1)
    assert found._teacher(trainings[0]) is None
    plain = replace(config, key="1", compression=replace(config.compression, distillation=None))
    one, other = trainables.run_trial(config), trainables.run_trial(replace(plain, directory=f"{tmp_path}/1"))
    assert one["train/loss"] != other["train/loss"]


def test_cascades_share_their_first_steps(tmp_path: Path) -> None:
    """Of a half, a quarter and an eighth: one-shot, in two steps and in three."""
    configs = [
        cascade(tmp_path, str(steps), steps, keep_ratio=0.5**steps, method="magnitude") for steps in (1, 2, 3)
    ]
    assert [trainables.run_trial(config)["epochs_trained"] for config in configs] == [3, 1, 1]
    assert epochs_needed(configs).shared == 5
    assert epochs_needed([*configs, replace(configs[2], seeds=(1,))]).shared == 10


@pytest.mark.parametrize("method", ["svd", "magnitude"])
def test_a_cascade_cut_off_in_its_second_step_ends_with_the_same_bits(tmp_path: Path, method: str) -> None:
    """After the first epoch of the step's two, and again in the third step, all in memory forgotten."""
    configs = [cascade(tmp_path / where, steps=3, method=method, seeds=(4,)) for where in ("whole", "cut")]
    whole, cut = (replace(one, compression=replace(one.compression, retrain_epochs=2)) for one in configs)
    told = trainables.run_trial(whole)
    begun = run_of(cut)
    _, _, (second, _), _ = begun.trains()
    while (reached := begun.advance()) and (reached.stages, reached.done) != (second, 1):
        pass
    assert reached and reached.done == 1
    begun.close()
    run._kept.clear()
    one = trainables.Trial(cut)
    one.step()
    one.close()
    run._kept.clear()
    assert comparable(trainables.run_trial(cut)) == comparable(told)
    assert same_bits(weights(cut, 4), weights(whole, 4))


def test_a_screened_cascade_is_compressed_at_one_go(tmp_path: Path) -> None:
    config, plain = cascade(tmp_path, steps=3), cascade(tmp_path, steps=1)
    assert screened(config) == screened(plain)
    assert not list(tmp_path.glob("trials/*"))
