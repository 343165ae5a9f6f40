"""Cascades: the steps' budgets, what goes on from step to step, and what is told of it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners
import trainables
from tests.trainables.configs import TASK, TRAINING, trial
from trainables.config import BudgetConfig, CompressionConfig, TrialConfig
from trainables.execution import run
from trainables.execution.identity import stage_identity
from trainables.recipes import RECIPES
from trainables.recipes.cascade import cascade_budgets
from trainables.stages import Compress, ProjectBack, RecalibrateBN, Recipe, Train

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


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    budget=st.one_of(
        st.builds(BudgetConfig, keep_ratio=st.floats(1e-6, 1)),
        st.builds(BudgetConfig, flops_ratio=st.floats(1e-6, 1)),
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
    config = cascade(
        tmp_path, method="magnitude", options={"exclude": ["0"]}, budget=BudgetConfig(parameters=50)
    )
    network = trainables.build_network(TASK)
    total = sum(layer.params for layer in pruners.prunable(network, ["0"]).values())
    [first, _] = cascade_budgets(config)
    assert first and first.parameters and (first.parameters - 1) ** 2 < 50 * total <= first.parameters**2


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
