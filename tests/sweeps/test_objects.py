"""Functions and tensors in place of a sweep file's names."""

import itertools
import linecache
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import sweeps
from sweeps import Sweep, SweepError
from trainables.errors import TaskError
from trainables.users_code.factory import resolve
from trainables.users_code.given import reference_to
from trainables.users_code.source_digest import source_digests

PROJECT = Path(__file__).parents[2]
_numbers = itertools.count()


def split(examples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(examples, 6, generator=torch.Generator().manual_seed(seed))
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()


def data() -> dict[str, Any]:
    return {"train": split(120, 0), "validation": split(40, 1), "test": split(40, 2)}


def sweep(network: Any, data: Any, **task: Any) -> Sweep:
    return Sweep.from_data(
        {
            "name": "objects",
            "task": {"network": network, "data": data, **task},
            "training": {"epochs": 2, "batch_size": 20, "optimizer": "adam", "lr": 1e-2},
            "compression": {"method": "magnitude"},
            "budget": {"keep_ratio": 0.5},
            "method": "random",
            "parameters": {"training.lr": {"min": 1e-3, "max": 1e-2}},
            "metric": {"name": "val/accuracy", "goal": "maximize"},
            "run_cap": 2,
            "replicates": 1,
        }
    )


def in_this_module() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))


def made(width: int) -> Callable[[], nn.Module]:
    """A function that has no name at the top of a module, as one of a notebook has none."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))

    return network


def test_functions_and_tensors_are_swept(tmp_path: Path) -> None:
    loss = nn.functional.cross_entropy
    study = sweeps.run(sweep(made(12), data(), loss=loss), tmp_path / "study", without_ray=True)
    assert study.count("complete") == 2
    assert isinstance(study.network()[0], nn.Linear)
    again = sweeps.run(sweep(made(12), data(), loss=loss), tmp_path / "study", without_ray=True)
    assert [t.values for t in again.trials] == [t.values for t in study.trials]


def test_a_function_of_a_module_is_named() -> None:
    assert reference_to(in_this_module, "task.network") == f"{__name__}:in_this_module"
    assert reference_to(nn.functional.cross_entropy, "task.loss") == "torch.nn.functional:cross_entropy"


def test_the_same_code_has_the_same_name_and_other_code_another() -> None:
    one, same, other = (reference_to(made(width), "task.network") for width in (12, 12, 13))
    assert one == same != other
    assert sweep(made(12), data()).data["task"] == sweep(made(12), data()).data["task"]
    changed = data()
    changed["train"][0][0, 0] += 1
    assert sweep(made(12), changed).data["task"] != sweep(made(12), data()).data["task"]


def test_data_of_more_classes_are_others() -> None:
    three, four = (sweep(made(12), {**data(), "num_classes": count}).data["task"] for count in (3, 4))
    assert three["data"] != four["data"]


def test_what_a_function_of_a_notebook_uses_counts() -> None:
    cells = """
import sys, torch
from torch import nn
from trainables.errors import TaskError
from trainables.users_code.given import reference_to
WIDTH = {width}
class Block(nn.Module):
    depth = {depth}
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, WIDTH)
    def forward(self, x):
        return helper(self.layer(x))
def helper(x):
    return x * {factor}
def network():
    return Block()
def refers():
    return TENSOR
TENSOR = torch.ones(2)
"""
    ask = """
import linecache, sys
for number, cells in enumerate(sys.argv[1:]):
    file = f"<cell {number}>"
    linecache.cache[file] = (len(cells), None, cells.splitlines(keepends=True), file)
    exec(compile(cells, file, "exec"), scope := {"__name__": "__main__"})
    print(scope["reference_to"](scope["network"], "task.network"))
try:
    scope["reference_to"](scope["refers"], "task.network")
except Exception as error:
    print(error)
"""
    varied = [(8, 1, 2), (8, 1, 2), (9, 1, 2), (8, 2, 2), (8, 1, 3)]
    texts = [cells.format(width=width, depth=depth, factor=factor) for width, depth, factor in varied]
    words = [sys.executable, "-c", ask, *texts]
    answer = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    *told, refusal = answer.stdout.splitlines()
    assert "refers uses TENSOR, a Tensor of the notebook" in refusal
    assert told[0] == told[1] and len(set(told)) == 4


weight = torch.ones(2)
"""A name that functions of this file know as an attribute only."""


def cells(text: str) -> dict[str, Any]:
    """The variables of a notebook once its cells, which have no file, have run."""
    file = f"<cell of a test {next(_numbers)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, file, "exec"), scope)
    return scope


ASIDE = """
class Block:
    def width(self):
        '''
Its text may stand anywhere.
'''
        import inside_a_method
        return inside_a_method.WIDTH
def network():
    return Block()
"""


def test_what_a_notebook_imports_within_functions_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inside_a_method.py").write_text("WIDTH = 1")
    monkeypatch.syspath_prepend(tmp_path)
    reference = reference_to(cells(ASIDE)["network"], "task.network")
    assert "inside_a_method" in source_digests([reference])


IMPORTS = """
from functools import lru_cache, partial, wraps
import torch
from numpy import exp
from torch import nn, relu
"""


@pytest.mark.parametrize(
    "text",
    [
        "WIDTH = {}\ndef network(width=WIDTH):\n    return nn.Linear(6, width)",
        "WIDTH = {}\ndef network(*, width=WIDTH):\n    return nn.Linear(6, width)",
        "WIDTHS = {{'hidden': {}}}\ndef network():\n    return nn.Linear(6, WIDTHS['hidden'])",
        "layer = partial(nn.Linear, 6, out_features={})\ndef network():\n    return layer()",
        "class Sizes:\n    class Inner:\n        width = {}\n"
        "def network():\n    return nn.Linear(6, Sizes.Inner.width)",
        "@lru_cache\ndef width():\n    return {}\ndef network():\n    return nn.Linear(6, width())",
        "class Sizes:\n    @classmethod\n    def width(cls):\n        return {}\nask = Sizes.width\n"
        "def network():\n    return nn.Linear(6, ask())",
        "def wide(make):\n    @wraps(make)\n    def made():\n        return make({})\n    return made\n"
        "@wide\ndef network(width):\n    return nn.Linear(6, width)",
    ],
)
def test_whatever_a_width_comes_from_counts(text: str) -> None:
    one, same, other = (
        reference_to(cells(IMPORTS + text.format(width))["network"], "task.network") for width in (3, 3, 4)
    )
    assert one == same != other


def test_an_object_that_can_be_called_is_not_taken_in_silence() -> None:
    text = "act = nn.PReLU()\ndef network():\n    return nn.Sequential(nn.Linear(6, 3), act)"
    with pytest.raises(TaskError, match="network uses act, a PReLU of the notebook"):
        reference_to(cells(IMPORTS + text)["network"], "task.network")


def test_what_packages_offer_is_known_by_its_name() -> None:
    text = "@torch.no_grad()\ndef made(layer):\n    return relu(layer.weight) + exp(1)\n"
    text += "def network():\n    return made(nn.Linear(6, 3))"
    assert reference_to(cells(IMPORTS + text)["network"], "task.network").endswith(":network")


def test_an_attribute_is_not_taken_for_a_variable_of_the_same_name() -> None:
    def network() -> nn.Module:
        layer = nn.Linear(6, 3)
        nn.init.zeros_(layer.weight)
        return layer

    assert reference_to(network, "task.network").endswith(":network")


def test_a_module_whose_name_begins_alike_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given_by_us.py").write_text("def network(): ...")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("given_by_us:network", "network").__module__ == "given_by_us"


def test_rays_workers_are_not_asked_to_import_it(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="without_ray=True"):
        sweeps.run(sweep(made(12), data()), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_processes_that_share_a_training_are_not_asked_either(tmp_path: Path) -> None:
    shared = Sweep.from_data({**sweep(made(12), data()).data, "resources": {"processes": 2}})
    with pytest.raises(SweepError, match=r"leave resources\.processes out"):
        sweeps.run(shared, tmp_path / "study", without_ray=True)
    assert not (tmp_path / "study").exists()


def test_a_function_of_the_program_itself_is_its_process_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network() -> nn.Module:
        return in_this_module()

    network.__module__, network.__qualname__ = "__main__", "network"
    monkeypatch.setattr(sys.modules["__main__"], "network", network, raising=False)
    with pytest.raises(SweepError, match="without_ray=True"):
        sweeps.run(sweep(network, data), tmp_path / "study")
    monkeypatch.undo()
    with pytest.raises(TaskError, match="was given by a program, which alone can go on"):
        resolve("__main__:network", "network")


def test_another_process_says_who_can_go_on(tmp_path: Path) -> None:
    sweeps.run(sweep(made(12), data()), tmp_path / "study", without_ray=True)
    words = [sys.executable, "-m", "tombola", "resume", tmp_path / "study", "--trials", "3", "--in-process"]
    answer = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert answer.returncode in (1, 2)
    assert "was given by a program, which alone can go on" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_data_that_do_not_fit_are_named() -> None:
    with pytest.raises(SweepError, match=r"task\.data returned no 'test'"):
        sweep(made(12), {"train": split(8, 0), "validation": split(8, 1)})
