from dataclasses import replace
from pathlib import Path

import pytest

import trainables
from tests.trainables.configs import TASK, trial
from trainables.config import BudgetConfig, CompressionConfig, LotteryConfig, TrainingConfig, TrialConfig
from trainables.recipes import RECIPES
from trainables.recipes.dense import dense
from trainables.recipes.lottery import recipes_by_level
from trainables.stages import Compress, RecalibrateBN, Recipe, Reinitialize, Rewind, Train

compress, prune_at_init = RECIPES["compress"].stages, RECIPES["prune_at_init"].stages


def test_retraining_runs_the_tail_of_the_schedule(tmp_path: Path) -> None:
    config = trial(
        tmp_path, training=TrainingConfig(182), compression=CompressionConfig("alds", retrain_epochs=60)
    )
    assert compress(config, 10) == (
        Train(0, 1820, 1820),
        Compress("alds", BudgetConfig(keep_ratio=0.5), calibration_images=512),
        RecalibrateBN(512),
        Train(1220, 1820, 1820),
    )


def test_stages_that_do_nothing_are_left_out(tmp_path: Path) -> None:
    config = trial(
        tmp_path, training=TrainingConfig(0), compression=CompressionConfig("svd", recalibrate_bn=0)
    )
    svd = Compress("svd", BudgetConfig(keep_ratio=0.5))
    assert compress(config, 10) == (replace(svd, calibration_images=512),)
    assert prune_at_init(config, 10) == (svd,), "a network that was not trained has nothing to be fitted to"


def test_retraining_longer_than_training_has_a_schedule_of_its_own_length(tmp_path: Path) -> None:
    config = trial(
        tmp_path, training=TrainingConfig(5), compression=CompressionConfig("alds", retrain_epochs=8)
    )
    assert compress(config, 1)[-1] == Train(0, 8, 8)


def test_a_checkpoint_needs_no_training(tmp_path: Path) -> None:
    config = trial(tmp_path, training=TrainingConfig(10))
    assert dense(config, 3) == (Train(0, 30, 30),)
    assert dense(trial(tmp_path, task=type(TASK)("conv4", "digits", checkpoint="mine.pt")), 10) == ()


def test_pruning_at_init_with_controls(tmp_path: Path) -> None:
    def stages(control: str) -> Recipe:
        compression = CompressionConfig("magnitude", control=control)  # type: ignore[arg-type]
        return prune_at_init(trial(tmp_path, training=TrainingConfig(2), compression=compression), 10)

    pruned = Compress("magnitude", BudgetConfig(keep_ratio=0.5))
    assert stages("none") == (pruned, Train(0, 20, 20))
    assert stages("shuffle") == (
        Compress("magnitude", BudgetConfig(keep_ratio=0.5), control="shuffle"),
        Train(0, 20, 20),
    )
    assert stages("reinit") == (pruned, Reinitialize(), Train(0, 20, 20))


FOUR_EPOCHS = TrainingConfig(4)


def lottery(root: Path, training: TrainingConfig = FOUR_EPOCHS, **changes: object) -> TrialConfig:
    section = LotteryConfig(levels=2, **changes)  # type: ignore[arg-type]
    return trial(
        root,
        training=training,
        compression=CompressionConfig("magnitude"),
        budget=None,
        trainable="lottery",
        lottery=section,
    )


def magnitude(keep_ratio: float, **options: object) -> Compress:
    return Compress("magnitude", BudgetConfig(keep_ratio=keep_ratio), dict(options))


def test_a_ticket_rewinds_at_every_level(tmp_path: Path) -> None:
    first, second, third = recipes_by_level(lottery(tmp_path, rewind_to="5it"), 10)
    assert first == {"ticket": (Train(0, 40, 40),)}
    assert second == {"ticket": (*first["ticket"], magnitude(0.8), Rewind(5), Train(5, 40, 40))}
    assert third == {"ticket": (*second["ticket"], magnitude(0.64), Rewind(5), Train(5, 40, 40))}


def test_one_shot_prunes_the_dense_network_each_time(tmp_path: Path) -> None:
    _, _, third = recipes_by_level(lottery(tmp_path, shots="one_shot"), 10)
    assert third["ticket"] == (Train(0, 40, 40), magnitude(0.64), Rewind(0), Train(0, 40, 40))


def test_the_other_modes_keep_the_weights(tmp_path: Path) -> None:
    assert recipes_by_level(lottery(tmp_path, mode="learning_rate", rewind_to="1ep"), 10)[1]["ticket"][
        2:
    ] == (Train(10, 40, 40),)
    assert recipes_by_level(lottery(tmp_path, mode="fine_tune", rewind_to="1ep"), 10)[1]["ticket"][2:] == (
        Train(10, 40, 40, last_rate=True),
    )


def test_controls_stand_beside_each_ticket(tmp_path: Path) -> None:
    tracks = recipes_by_level(
        lottery(tmp_path, controls=("reinit", "random"), rewind_to="1ep", layer_rate={"output": 0.1}), 10
    )[2]
    before = tracks["ticket"][:4]
    pruned = magnitude(0.64, layer_keep_ratio={"output": 0.81})
    assert tracks["ticket"] == (*before, pruned, Rewind(10), Train(10, 40, 40))
    assert tracks["reinit"] == (*before, pruned, Reinitialize(2), Train(0, 40, 40))
    random = Compress(
        "magnitude", BudgetConfig(keep_ratio=0.64), {"layer_keep_ratio": {"output": 0.81}}, control="random"
    )
    assert tracks["random"] == (*before, random, Rewind(10), Train(10, 40, 40))


def test_controls_of_the_first_level_do_not_depend_on_the_mode(tmp_path: Path) -> None:
    modes = [
        recipes_by_level(lottery(tmp_path, mode=mode, controls=("reinit", "random"), rewind_to="1ep"), 10)
        for mode in ("rewind", "fine_tune")
    ]
    assert modes[0][1]["reinit"] == modes[1][1]["reinit"]
    assert modes[0][1]["random"] == modes[1][1]["random"]
    assert modes[0][2]["reinit"] != modes[1][2]["reinit"]


def test_a_rewind_point_must_lie_in_the_training(tmp_path: Path) -> None:
    with pytest.raises(
        trainables.TaskError, match=r"lottery.rewind_to 4ep lies beyond the training's 40 steps."
    ):
        recipes_by_level(lottery(tmp_path, rewind_to="4ep"), 10)
    with pytest.raises(ValueError, match=r"'4 epochs' is no place in a training; write 500it .* or 2ep"):
        LotteryConfig(1, rewind_to="4 epochs")
