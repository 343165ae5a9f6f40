"""Studies of lotteries and of pruning at initialisation, run in this process.

Nothing is trained twice, and they go on after anything.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sweeps
from sweeps import StudyRecord, Sweep, SweepError
from sweeps.search.epochs import epochs_if_alone, epochs_trained, forecast
from sweeps.search.prepare import prepare
from sweeps.study.paths import StudyPaths
from sweeps.sweep_file import yaml_file
from tests.sweeps.commands import Answer
from tests.sweeps.studies import USERS, digits, run

Tombola = Callable[..., Answer]


def sparse(**keys: Any) -> dict[str, Any]:
    compression = {"method": "magnitude", "options": {"allocation": "layerwise"}}
    own = {
        "compression": compression,
        "training": {"epochs": 2, "batch_size": 128, "lr": 0.1},
        "method": "grid",
        "run_cap": 100,
    }
    return digits(**own | keys)


def lottery(**keys: Any) -> dict[str, Any]:
    data = sparse(
        **{"trainable": "lottery", "lottery": {"levels": 2, "controls": ["reinit", "random"]}, **keys}
    )
    return {key: value for key, value in data.items() if key != "budget"}


def logged_steps(study: Path) -> int:
    logs = (study / "store").glob("*/*/training_log.jsonl")
    return sum(json.loads(line)["steps"] for log in logs for line in log.read_text().splitlines())


GRID = lottery(
    replicates=2,
    parameters={
        "lottery.rewind_to": {"values": ["0it", "3it", "1ep"]},
        "lottery.mode": {"values": ["rewind", "learning_rate"]},
    },
)


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """A grid of lotteries over rewind point and mode, with both controls and two seeds."""
    return run(GRID, tmp_path_factory.mktemp("tickets"))


def test_a_grid_of_lotteries_trains_what_the_dry_run_says(tickets: StudyRecord) -> None:
    prepared = prepare(Sweep.from_data(GRID))
    epochs = forecast(prepared)
    assert tickets.count("complete") == tickets.target == 6 and epochs.exact
    assert (
        epochs_trained(tickets)
        == pytest.approx(epochs.need.shared)
        == pytest.approx(logged_steps(tickets.directory) / 9)
    )
    assert (
        epochs_if_alone(prepared, tickets) == pytest.approx(epochs.need.alone)
        and epochs.need.alone > 1.2 * epochs.need.shared
    )


def test_a_lotterys_levels_are_in_its_record(tickets: StudyRecord) -> None:
    for trial in tickets.trials:
        assert [level["level"] for level in trial.levels] == [0, 1, 2] == [*trial.intermediate, 2]
        assert [set(level["tracks"]) for level in trial.levels] == [
            {"ticket"},
            *[{"ticket", "reinit", "random"}] * 2,
        ]
        assert (
            trial.levels[-1]["density"] == trial.metrics["compress/density"] == pytest.approx(0.64, abs=1e-4)
        )
        assert trial.values == (trial.levels[-1]["tracks"]["ticket"]["val/accuracy"],)
    assert len({trial.levels[0]["tracks"]["ticket"]["val/accuracy"] for trial in tickets.trials}) == 1, (
        "one dense network for all"
    )


def test_the_command_tells_what_was_trained(tombola: Tombola) -> None:
    Path("s.yaml").write_text(json.dumps(lottery(parameters={"lottery.levels": {"values": [1, 2]}})))
    planned_line = tombola("run", "s.yaml", "--dry-run").stdout.splitlines()[-1]
    assert planned_line == "epochs: 14 with nothing trained twice, 22 if each trial stood alone"
    assert (
        "\n14 epochs trained; 22 if each trial had stood alone.\n"
        in tombola("run", "s.yaml", "--in-process").stdout
    )


def test_a_lottery_stopped_by_hand_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = {"network": "lenet_300_100", "data": "digits", "loss": f"{USERS}:interrupted_when_asked"}
    data = lottery(task=task, parameters={"lottery.rewind_to": {"values": ["0it", "1ep"]}})
    whole = run(data, tmp_path / "whole")
    flag = tmp_path / "flag"
    monkeypatch.setenv("INTERRUPT", str(flag))
    for _ in range(2):
        flag.touch()
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "stopped")
    record = run(data, tmp_path / "stopped")
    assert [(t.params, t.values) for t in record.trials] == [(t.params, t.values) for t in whole.trials]
    assert [t.levels[-1]["tracks"] for t in record.trials] == [t.levels[-1]["tracks"] for t in whole.trials]


def test_a_lottery_on_a_full_disk_says_so_and_goes_on(tmp_path: Path) -> None:
    data = lottery()
    whole = run(data, tmp_path / "whole")
    names = {path.parent.name for path in (tmp_path / "whole" / "store").glob("*/*/spec.json")}
    full = tmp_path / "full" / "store"
    for name in sorted(names)[:1]:
        (full / name[:2] / name).mkdir(parents=True)
        (full / name[:2] / name / "training_log.jsonl").symlink_to("/dev/full")  # the kernel's own full disk
    with pytest.raises(
        SweepError,
        match=r"^the disk that holds .* is full; "
        r"free some space and run the same command again, it goes on\.$",
    ):
        run(data, tmp_path / "full")
    assert sweeps.load_record(tmp_path / "full").count("failed") == 0
    for log in full.glob("*/*/training_log.jsonl"):
        if log.is_symlink():
            log.unlink()
    assert [t.values for t in run(data, tmp_path / "full").trials] == [t.values for t in whole.trials]


def test_pruning_at_init_with_controls_and_a_baseline(tmp_path: Path) -> None:
    parameters = {
        "compression.method": {"values": ["snip", "magnitude"]},
        "compression.control": {"values": ["none", "shuffle", "reinit"]},
    }
    data = sparse(
        trainable="prune_at_init", budget={"keep_ratio": 0.1}, baselines=["random"], parameters=parameters
    )
    record = run(data, tmp_path)
    assert record.count("complete") == record.target == 6
    assert epochs_trained(record) == forecast(prepare(Sweep.from_data(data))).need.shared == 2 + 7 * 2
    for trial in (*record.trials, *record.baselines):
        assert trial.metrics["compress/density"] == pytest.approx(0.1, abs=1e-4)
    by_params = {(t.params["compression.method"], t.params["compression.control"]): t for t in record.trials}
    snip, shuffled = by_params["snip", "none"], by_params["snip", "shuffle"]
    assert snip.layers == shuffled.layers and snip.values != shuffled.values
    assert record.dense["val/accuracy"] > 0.5 and "dense" in record.test


def test_where_each_trial_would_have_its_own_dense_network_none_is_trained(tmp_path: Path) -> None:
    data = sparse(
        trainable="prune_at_init",
        budget={"keep_ratio": 0.2},
        parameters={"training.lr": {"values": [0.05, 0.1, 0.2]}},
    )
    record = run(data, tmp_path)
    assert epochs_trained(record) == forecast(prepare(Sweep.from_data(data))).need.shared == 3 * 2
    assert "val/accuracy" not in record.dense and set(record.test) == {"best"}


def test_early_birds_share_the_dense_network_that_they_watch(tmp_path: Path) -> None:
    data = sparse(
        trainable="early_bird",
        training={"epochs": 8, "batch_size": 128, "lr": 0.02},
        parameters={"budget.keep_ratio": {"values": [0.5, 0.7]}},
        budget={},
    )
    record = run(data, tmp_path)
    assert epochs_trained(record) == 8 + 2 * 8 == forecast(prepare(Sweep.from_data(data))).need.shared


def test_a_trial_of_many_levels_can_be_stopped_early(tmp_path: Path) -> None:
    data = lottery(
        lottery={"levels": 4},
        parameters={"lottery.rate": {"values": [0.2, 0.5, 0.9, 0.95, 0.97]}},
        early_terminate={"type": "asha", "eta": 2},
    )
    record = run(data, tmp_path)
    stopped = [t for t in record.trials if t.outcome == "stopped_early"]
    assert stopped and record.count("complete") and len(record.trials) == 5
    assert all(max(t.intermediate) < 4 for t in stopped)
    assert epochs_if_alone(prepare(Sweep.from_data(data)), record) is None


def test_a_study_begun_before_a_key_existed_goes_on(tmp_path: Path) -> None:
    data = digits(run_cap=1)
    run(data, tmp_path)
    path = StudyPaths(tmp_path).sweep
    held = yaml_file.read(path).data
    del held["retention"], held["compression"]["control"], held["compression"]["scoring_per_class"]
    path.write_text(yaml_file.dumped(held))
    assert run({**data, "run_cap": 2}, tmp_path).count("complete") == 2
    with pytest.raises(SweepError, match=r'another sweep: "compression\.scoring_per_class" differs\.'):
        run({**data, "compression": {**data["compression"], "scoring_per_class": 5}}, tmp_path)


def test_values_that_do_not_go_together_cost_a_draw_and_not_the_study(tmp_path: Path) -> None:
    parameters = {"lottery.rewind_to": {"values": ["0it", "2ep"]}, "training.epochs": {"values": [3, 2]}}
    data = lottery(lottery={"levels": 1}, parameters=parameters)
    assert forecast(prepare(Sweep.from_data(data))).need.shared > 0
    record = run(data, tmp_path)
    assert (record.count("complete"), record.count("infeasible"), record.count("failed")) == (3, 1, 0)
    (refused,) = (trial for trial in record.trials if trial.outcome == "infeasible")
    assert refused.params == {"lottery.rewind_to": "2ep", "training.epochs": 2}
    assert refused.reason and "lies beyond the training" in refused.reason


def test_the_best_network_stays_when_only_the_best_are_kept(tmp_path: Path) -> None:
    """Two objectives, the first of which all trials reach alike: the best found need not be on the front."""
    data = sparse(
        trainable="prune_at_init",
        training={"epochs": 0},
        parameters={"budget.keep_ratio": {"values": [0.5, 0.3]}},
        retention={"networks": "best"},
    )
    data = {key: value for key, value in data.items() if key != "metric"}
    data["metrics"] = [
        {"name": "compress/latency_ms", "goal": "minimize"},
        {"name": "compress/params_kept", "goal": "minimize"},
    ]
    for _ in range(2):
        record = run(data, tmp_path)
        assert record.best and StudyPaths(tmp_path).networks(record.best.key).is_dir()
        assert (StudyPaths(tmp_path).best / "spec.json").exists()
