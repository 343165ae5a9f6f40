"""result.json is declared in one place, written by the trial and read by the study."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from sweeps.study.paths import StudyPaths
from tests.trainables.configs import trial
from trainables import network_folder
from trainables.results.result import TrialResult, read_result, result_of, write_failed, write_result
from trainables.results.trial_paths import TrialPaths


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = trial(tmp_path)
    assert result_of(config) is None
    layers = {"0": {"rank": 3, "num_subspaces": 2, "error": 0.1 + 0.2}}
    write_result(
        config, TrialResult("0", {"val/accuracy": 1 / 3, "epoch": 2}, layers=layers, trained_with=["torch"])
    )
    found = result_of(config)
    assert found and found.metrics == {"val/accuracy": 1 / 3, "epoch": 2} and found.layers == layers
    assert type(found.layers["0"]["rank"]) is int and found.failed is None and "torch" in found.versions
    assert found.final_metrics() == {**found.metrics, "final": True}
    on_disk = json.loads(TrialPaths.of(config).result.read_text())
    assert list(on_disk) == [one.name for one in fields(TrialResult)]


def test_a_failure_does_not_replace_a_result(tmp_path: Path) -> None:
    config = trial(tmp_path)
    write_failed(config, "the disk")
    write_failed(config, "the network")
    found = result_of(config)
    assert found and found.failed == "the network"
    assert found.final_metrics() == {"failed": "the network", "final": True}
    write_result(config, TrialResult("0", {"val/accuracy": 0.5}))
    write_failed(config, "too late")
    found = result_of(config)
    assert found and found.failed is None and found.metrics == {"val/accuracy": 0.5}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"key": "0"}', b'{"key": "0", "metrics": 3}', b"\xff"]
)
def test_a_damaged_file_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    assert read_result(tmp_path / "result.json") is None


def test_an_older_file_lacks_fields_and_a_newer_one_has_more(tmp_path: Path) -> None:
    older = {
        "key": "0",
        "metrics": {"val/accuracy": 0.5},
        "replicates": [],
        "layers": {},
        "dense": {},
        "failed": None,
    }
    (tmp_path / "result.json").write_text(json.dumps(older | {"unheard_of": 1}))
    found = read_result(tmp_path / "result.json")
    assert found == TrialResult("0", {"val/accuracy": 0.5})


def test_the_study_and_the_trial_mean_the_same_files(tmp_path: Path) -> None:
    config, study = trial(tmp_path, "7"), StudyPaths(tmp_path)
    own = TrialPaths.of(config)
    assert (own.directory, own.result, own.networks) == (study.trial(7), study.result(7), study.networks(7))
    assert (
        own.network(3)
        == network_folder(config, 3)
        == study.network(7, 3)
        == tmp_path / "trials/7/network/seed-3"
    )
