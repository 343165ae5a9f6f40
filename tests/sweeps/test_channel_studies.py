"""Studies of methods that remove channels: run, gone on with, told, exported and loaded with plain torch."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import pruners
import sweeps
import trainables
from sweeps import StudyRecord, Sweep
from sweeps.report.page import write_report
from sweeps.search import feasibility
from sweeps.search.dry_run import dry_run_text
from sweeps.search.prepare import prepare
from sweeps.study.export import export, find
from tests.sweeps.studies import digits, run
from trainables.config import TaskConfig
from trainables.task.data import load

METHODS = ("ft", "pfp", "taylor")


def channels(**keys: Any) -> dict[str, Any]:
    own = {
        "task": {"network": "conv2", "data": "digits"},
        "training": {"epochs": 1, "batch_size": 256, "lr": 0.05},
        "compression": {"retrain_epochs": 1, "scoring_per_class": 3, "calibration_images": 32},
        "parameters": {"compression.method": {"values": list(METHODS)}},
        "budget": {"flops_ratio": 0.5},
        "method": "grid",
        "run_cap": 3,
    }
    return digits(**own | keys)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """One trial of each method, the last two run when the study goes on."""
    folder = tmp_path_factory.mktemp("channels") / "study"
    assert run(channels(run_cap=1), folder).count("complete") == 1
    return run(channels(), folder)


def test_every_method_keeps_its_budget_and_is_told_by_layer(study: StudyRecord) -> None:
    assert sorted(t.params["compression.method"] for t in study.complete) == sorted(METHODS)
    for trial in study.complete:
        assert 0.3 < trial.metrics["compress/flops_kept"] <= 0.5
        assert trial.metrics["compress/params_kept"] < 1 and "compress/density" not in trial.metrics
        assert trial.layers and all(
            set(layer) == {"channels", "dense_channels", "params", "dense_params"}
            for layer in trial.layers.values()
        )
        name = next(iter(trial.layers))
        (replicate,) = trial.replicates
        assert replicate["metrics"][f"compress/layer/{name}/channels"] == trial.layers[name]["channels"]
    assert len({json.dumps(trial.layers) for trial in study.complete}) > 1, "methods differ in what they keep"


def test_an_exported_network_loads_with_plain_torch(study: StudyRecord, tmp_path: Path) -> None:
    task = TaskConfig("conv2", "digits")
    for trial in study.complete:
        export(study, find(study, trial.key), tmp_path / trial.key)
        artifact = pruners.load(tmp_path / trial.key)
        assert isinstance(artifact, pruners.Channels) and artifact.complete
        small = artifact.apply(trainables.build_network(task, seed=7)).eval()
        assert {type(m).__module__.split(".")[0] for m in small.modules()} == {"torch"}
        data = load("digits", {})
        inputs, labels = next(iter(data.validation.in_order(len(data.validation), torch.device("cpu"))))
        with torch.no_grad():
            accuracy = float((small(inputs).argmax(1) == labels).float().mean())
        assert accuracy == pytest.approx(trial.metrics["val/accuracy"], abs=1e-6)


def test_the_report_tells_channels(study: StudyRecord, tmp_path: Path) -> None:
    write_report(study, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Channels per layer" in page and "the channels that a layer makes, of those" in page
    assert "Latency, ms" in page and "Weights kept" not in page


def test_the_groups_are_found_once_for_all_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = pruners.NetworkChannels.__init__

    def counted(self: pruners.NetworkChannels, *args: Any, **kwargs: Any) -> None:
        made.append(args)
        original(self, *args, **kwargs)

    feasibility._channels.cache_clear()
    monkeypatch.setattr(pruners.NetworkChannels, "__init__", counted)
    prepared = prepare(Sweep.from_data(channels()))
    assert "prunable weights in" in dry_run_text(prepared) and len(made) == 1


def test_a_budget_below_the_fewest_channels_is_infeasible() -> None:
    data = channels(budget={"flops_ratio": 1e-6}, parameters={"compression.method": {"value": "ft"}})
    with pytest.raises(sweeps.SweepError, match=r"budget\.flops_ratio 1e-06; the least possible is") as error:
        prepare(Sweep.from_data({**data, "method": "random"}))
    assert error.value.exit_code == 3


def test_images_are_needed_where_a_method_chooses_by_them() -> None:
    data = channels(compression={"method": "pfp", "calibration_images": 0}, parameters={}, method="random")
    with pytest.raises(sweeps.SweepError, match=r"method pfp needs compression\.calibration_images"):
        prepare(Sweep.from_data(data))


def test_channels_are_removed_at_initialisation_too(tmp_path: Path) -> None:
    data = channels(
        trainable="prune_at_init",
        compression={"method": "taylor", "scoring_per_class": 3},
        parameters={},
        method="random",
        run_cap=1,
    )
    record = run(data, tmp_path)
    assert record.best is not None and record.best.metrics["compress/flops_kept"] <= 0.5


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"trainable": "early_bird"}, "trainable early_bird needs a method that removes single weights"),
        (
            {"compression": {"method": "ft", "control": "shuffle"}},
            "control shuffle needs a method that removes",
        ),
        (
            {"per_layer": {"tolerance": {"min": 0.5, "max": 2}}},
            "per_layer needs a method that decomposes layers",
        ),
        (
            {"metric": {"name": "compress/error", "goal": "minimize"}},
            "compress/error needs a method that decomp",
        ),
    ],
)
def test_what_goes_with_other_kinds_is_refused(keys: dict[str, Any], said: str) -> None:
    data = channels(**{"compression": {"method": "ft"}, "parameters": {}, "method": "random", **keys})
    with pytest.raises(sweeps.SweepError, match=f"{said}.*, and ft removes channels; those that do are "):
        prepare(Sweep.from_data(data))
