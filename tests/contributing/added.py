"""Runs what CONTRIBUTING.md's recipes added to a scratch copy, into which this file is copied as a test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import pruners
import sweeps
from tests.sweeps.commands import Answer
from tests.sweeps.studies import digits

FOLDER = Path(__file__).parents[2]
ALL_BUT_A_DECOMPOSITION: dict[str, Any] = {
    "task": {
        "network": "added_mlp",
        "network_options": {"widths": [8]},
        "data": "added_digits",
        "metrics": ["accuracy", "added_accuracy"],
    },
    "trainable": "added_at_init",
    "compression": {"method": "added_magnitude"},
    "method": "added_genetic",
    "parameters": {"training.lr": {"min": 0.1, "max": 0.2}},
}
SWEEPS: dict[str, dict[str, Any]] = {
    "mask": ALL_BUT_A_DECOMPOSITION,
    "decomposition": {"compression": {"method": "added_svd"}, "run_cap": 1},
    "channels": {"compression": {"method": "added_l1"}, "run_cap": 1},
}


@pytest.mark.parametrize("kind", SWEEPS)
def test_what_was_added_is_validated_and_run(
    tombola: Callable[..., Answer], tmp_path: Path, kind: str
) -> None:
    assert all(Path(str(package.__file__)).is_relative_to(FOLDER) for package in (pruners, sweeps))
    (tmp_path / "added.yaml").write_text(yaml.safe_dump(digits(**SWEEPS[kind])))
    assert tombola("validate", "added.yaml").exit_code == 0
    answer = tombola("run", "added.yaml", "--in-process", "--out", "study")
    assert answer.exit_code == 0, answer.stderr
    record = sweeps.load_record(tmp_path / "study")
    assert record.count("complete") == (2 if kind == "mask" else 1)
    for trial in record.trials:
        result = json.loads((tmp_path / "study" / "trials" / trial.key / "result.json").read_text())
        kept = sum(layer["params"] for layer in result["layers"].values())
        assert kept <= 0.25 * sum(layer["dense_params"] for layer in result["layers"].values()) + 1
    if kind == "mask":
        assert len({trial.params["training.lr"] for trial in record.trials}) == 2
        assert result["dense"]["params"] == 64 * 8 + 8 + 8 * 10 + 10
        assert len(result["history"]) == 1
        assert result["metrics"]["val/accuracy"] < result["metrics"]["val/added_accuracy"] <= 1
