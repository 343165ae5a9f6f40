from pathlib import Path

from tests.trainables.configs import comparable, same_bits, trial, weights
from trainables import run_trial
from trainables.config import TrialConfig, trial_config
from trainables.trials.ray_trainable import TrialTrainable


def plain(config: TrialConfig) -> dict:
    study = Path(config.directory).parent
    study.mkdir(parents=True, exist_ok=True)
    (study / "study.json").touch()
    return {"trial": trial_config.dump_python(config, mode="json"), "study": str(study)}


def test_ray_steps_checkpoints_and_reuses_it(tmp_path: Path) -> None:
    first, second = trial(tmp_path, "a"), trial(tmp_path, "b", keep_ratio=0.4)
    actor = TrialTrainable(plain(first))
    result = actor.train()
    assert (result["epoch"], result["done"], result["training_iteration"]) == (1, False, 1)
    (tmp_path / "checkpoint").mkdir()
    actor.save_checkpoint(str(tmp_path / "checkpoint"))
    assert [path.stat().st_size < 1000 for path in (tmp_path / "checkpoint").iterdir()] == [True]

    elsewhere = TrialTrainable(plain(first))
    elsewhere.load_checkpoint(str(tmp_path / "checkpoint"))
    result = elsewhere.train()
    assert (result["epoch"], result["done"], result["epochs_trained"]) == (2, True, 5)

    assert actor.reset_config(plain(second))
    assert [actor.train()["epoch"], actor.train()["done"]] == [1, True]
    actor.stop()
    elsewhere.stop()
    for config in (first, second):
        alone = trial(tmp_path / "alone", config.key, keep_ratio=config.budget.keep_ratio or 1)
        metrics = run_trial(alone)
        assert same_bits(weights(config), weights(alone))
        assert comparable(metrics) == comparable(run_trial(config))


def test_leaving_a_trial_lets_another_go_on_with_it(tmp_path: Path) -> None:
    left = TrialTrainable(plain(trial(tmp_path, "a")))
    left.train()
    left.stop()
    assert run_trial(trial(tmp_path, "b"))["epochs_trained"] == 1


def test_a_node_that_does_not_see_the_study_says_so_and_writes_nothing(tmp_path: Path) -> None:
    config = trial(tmp_path / "here", "a")
    blind = {**plain(config), "study": str(tmp_path / "elsewhere")}
    result = TrialTrainable(blind).train()
    assert (result["done"], result["stops_study"]) == (True, True)
    assert f"does not see {tmp_path / 'elsewhere'}." in result["failed"]
    assert not Path(config.directory).exists()
