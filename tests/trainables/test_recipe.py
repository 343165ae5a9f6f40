from pathlib import Path

from tests.trainables.configs import TASK, trial
from trainables.config import CompressionConfig, TrainingConfig
from trainables.recipes.compress import compress
from trainables.recipes.dense import dense
from trainables.stages import Compress, RecalibrateBN, Train


def test_retraining_runs_the_tail_of_the_schedule(tmp_path: Path) -> None:
    config = trial(tmp_path, training=TrainingConfig(182), compression=CompressionConfig("alds", retrain_epochs=60))
    assert compress(config) == (
        Train(0, 182, 182),
        Compress("alds", {"keep_ratio": 0.5}),
        RecalibrateBN(512),
        Train(122, 182, 182),
    )


def test_stages_that_do_nothing_are_left_out(tmp_path: Path) -> None:
    config = trial(tmp_path, training=TrainingConfig(0), compression=CompressionConfig("svd", recalibrate_bn=0))
    assert compress(config) == (Compress("svd", {"keep_ratio": 0.5}),)


def test_retraining_longer_than_training_has_a_schedule_of_its_own_length(tmp_path: Path) -> None:
    config = trial(tmp_path, training=TrainingConfig(5), compression=CompressionConfig("alds", retrain_epochs=8))
    assert compress(config)[-1] == Train(0, 8, 8)


def test_a_checkpoint_needs_no_training() -> None:
    assert dense(TASK, 10) == (Train(0, 10, 10),)
    assert dense(type(TASK)("conv4", "digits", checkpoint="mine.pt"), 10) == ()
