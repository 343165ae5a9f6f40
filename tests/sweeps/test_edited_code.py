"""A sweep run twice on one store: what was edited meanwhile is trained anew, and nothing else is."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sweeps.studies import digits, run

BLOCK = """\
from torch import nn

def block(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
"""
FILES = {
    "edited_nets/__init__.py": "",
    "edited_nets/small.py": "from .blocks.block import block\ndef network():\n    return block(12)\n",
    "edited_nets/other.py": "from torch import nn\ndef network():\n"
    "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n",
    "edited_nets/blocks/__init__.py": "",
    "edited_nets/blocks/block.py": BLOCK,
    "edited_nets/notes.py": "TEXT = 'nobody imports this'\n",
}


@pytest.fixture
def studied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, tuple[float, float]]]:
    """Runs the sweep over both networks as a new process would; params and epochs trained now of each."""
    monkeypatch.syspath_prepend(tmp_path)
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)

    def study(name: str) -> dict[str, tuple[float, float]]:
        for module in [module for module in sys.modules if module.startswith("edited_nets")]:
            del sys.modules[module]
        networks = ["edited_nets.small:network", "edited_nets.other:network"]
        data = digits(
            task={"data": "digits"},
            parameters={"task.network": {"values": networks}},
            method="grid",
            storage={"store": str(tmp_path / "store")},
            compression={"method": "alds", "recalibrate_bn": 0, "retrain_epochs": 1},
            budget={"keep_ratio": 0.75},
        )
        record = run(data, tmp_path / name)
        dense = {
            key: json.loads((tmp_path / name / "trials" / key / "result.json").read_text())["dense"]
            for key in ("0", "1")
        }
        return {
            t.params["task.network"]: (dense[t.key]["params"], t.metrics["epochs_trained"])
            for t in record.trials
        }

    return study


def test_an_edit_retrains_what_pulls_it_in_and_nothing_else(
    studied: Callable[[str], dict[str, tuple[float, float]]], tmp_path: Path
) -> None:
    small, other = "edited_nets.small:network", "edited_nets.other:network"
    assert studied("first") == {small: (64 * 12 + 12 + 120 + 10, 2), other: (650, 2)}
    (tmp_path / "edited_nets/notes.py").write_text("TEXT = 'edited'\n")
    assert studied("unrelated") == {small: (910, 0), other: (650, 0)}
    (tmp_path / "edited_nets/blocks/block.py").write_text(BLOCK.replace("nn.ReLU()", "nn.Tanh()"))
    assert studied("edited") == {small: (910, 2), other: (650, 0)}
    (tmp_path / "edited_nets/blocks/block.py").write_text(BLOCK)
    assert studied("edited back") == {small: (910, 0), other: (650, 0)}
