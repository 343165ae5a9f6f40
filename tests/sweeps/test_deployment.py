"""What an export holds besides the artifact: computed by plain torch and by ONNX Runtime, it is the same."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import pruners
import trainables
from sweeps.deployment import deploy, graphs, load_network
from sweeps.deployment.agreement import largest_difference
from sweeps.deployment.plain_torch import write_loader
from sweeps.deployment.trial_sections import sections_of
from sweeps.errors import SweepError
from sweeps.study.load import load_record
from sweeps.study.record import TrialRecord
from tests.sweeps.commands import Answer
from tests.sweeps.studies import digits, run
from trainables.config import TaskConfig
from trainables.execution.network import INT8

Tombola = Callable[..., Answer]
IMAGES = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding="same", padding_mode="reflect", bias=False),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=2, dilation=2, padding=2),
        nn.Flatten(),
        nn.Linear(128, 24),
        nn.ReLU(),
        nn.Linear(24, 10, bias=False),
    )


class Tied(nn.Module):
    """A layer that stands in two places, and a weight that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = nn.Linear(256, 32), nn.Linear(32, 32)
        self.again, self.third = self.second, nn.Linear(32, 32)
        self.third.weight = self.second.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(images.flatten(1)))
        y: torch.Tensor = self.third(torch.relu(self.again(torch.relu(self.second(x)))))
        return y


CASES: dict[str, tuple[Callable[[], nn.Module], str, dict[str, Any]]] = {
    "a decomposition": (convolutions, "alds", {"keep_ratio": 0.4}),
    "other foldings": (convolutions, "alds", {"keep_ratio": 0.5, "folding": "best"}),
    "clusters": (convolutions, "alds", {"keep_ratio": 0.4, "clustering": "kmeans"}),
    "Tucker": (convolutions, "tucker", {"keep_ratio": 0.5}),
    "channels": (convolutions, "ft", {"keep_ratio": 0.4, "example": IMAGES}),
    "a mask": (convolutions, "magnitude", {"keep_ratio": 0.5}),
    "a mask of shared weights": (Tied, "magnitude", {"keep_ratio": 0.1}),
    "a decomposition beside shared weights": (Tied, "alds", {"keep_ratio": 0.6}),
}


@pytest.mark.filterwarnings("ignore:Layer .* shares its weight:pruners.PrunerWarning")
@pytest.mark.parametrize("case", CASES)
def test_plain_torch_loads_what_it_is(case: str, tmp_path: Path) -> None:
    factory, method, options = CASES[case]
    network = factory().eval()
    artifact = pruners.compress(network, method, **options)
    small = artifact.apply(network).eval()
    artifact.capture(small).save(tmp_path)
    write_loader(pruners.load(tmp_path), small, factory, IMAGES, tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(load_network.load(factory(), tmp_path)(IMAGES), small(IMAGES))
    # trained on, it is what it was: shared weights are shared
    plain = load_network.load(factory(), tmp_path)
    assert len(list(plain.parameters())) == len(list(small.parameters()))
    assert not (tmp_path / "load_network.py").read_text().count("pruners")


def test_what_plain_layers_cannot_be_is_said(tmp_path: Path) -> None:
    network = convolutions().eval()
    artifact = pruners.compress(network, "alds", keep_ratio=0.4)
    small = artifact.apply(network).eval()
    artifact.capture(small).save(tmp_path)

    def another() -> nn.Module:
        return nn.Sequential(*convolutions(), nn.Softmax(dim=1))

    with pytest.raises(SweepError, match="the network is another with plain layers"):
        write_loader(pruners.load(tmp_path), small, another, IMAGES, tmp_path)
    assert not (tmp_path / "load_network.py").exists() and (tmp_path / "spec.json").exists()
    write_loader(pruners.load(tmp_path), small, convolutions, IMAGES, tmp_path)
    with pytest.raises(ValueError, match=r"holds another network: it has no '10\.weight'"):
        load_network.load(nn.Sequential(*convolutions(), nn.Linear(10, 3)), tmp_path)
    layer = nn.TransformerEncoderLayer(16, 4, 16, batch_first=True, dropout=0.0).eval()
    tokens = torch.randn(2, 5, 16)
    heads = pruners.compress(layer, "ft", flops_ratio=0.7, example=tokens)
    with pytest.raises(SweepError, match="attention with fewer heads needs pruners' own module"):
        write_loader(heads, heads.apply(layer), lambda: layer, tokens, tmp_path)


def test_onnx_and_programs_compute_the_same_for_batches_of_any_size(tmp_path: Path) -> None:
    network = convolutions().eval()
    small = pruners.compress(network, "alds", keep_ratio=0.4).apply(network).eval()
    program = graphs.program_of(small, IMAGES[:1])
    graphs.write_program(program, tmp_path / "network.pt2")
    assert graphs.write_onnx(program, small, IMAGES[:1], tmp_path / "network.onnx") < 1e-5
    runs, loaded = graphs.OnnxNetwork(tmp_path / "network.onnx"), torch.export.load(tmp_path / "network.pt2")
    for batch in (IMAGES[:1], IMAGES, IMAGES.repeat(3, 1, 1, 1)):
        with torch.no_grad():
            torch.testing.assert_close(runs(batch)[0], small(batch))
            torch.testing.assert_close(loaded.module()(batch), small(batch))
    other = convolutions().eval()
    with pytest.raises(SweepError, match=r"ONNX Runtime's outputs are off by .* no file is kept"):
        nn.init.constant_(other[9].weight, 0.5)
        graphs.write_onnx(program, other, IMAGES[:1], tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


class Views(nn.Module):
    """Flattens by view, as many networks do: it computes in one memory order only."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.last = nn.Conv2d(4, 8, 3, padding=1), nn.Linear(8 * 64, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(images))
        y: torch.Tensor = self.last(x.view(len(x), -1))
        return y


class ByName(nn.Module):
    """Two inputs of one shape, by name, to a dictionary; the order of the names is not the batch's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(16, 16)

    def forward(self, tokens: torch.Tensor, places: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": torch.relu(self.layer(tokens)) * places, "kept": places > 1}


def deployed(factory: Callable[[], nn.Module], batch: Any, folder: Path, **wanted: bool) -> tuple[str, Any]:
    """What is said of a network's deployment, and its table's rows."""
    network = factory().eval()
    artifact = pruners.compress(network, "magnitude", keep_ratio=0.5)
    artifact.capture(artifact.apply(network)).save(folder)
    said = "\n".join(deploy.deploy_network(factory, network, batch, folder, deploy.Wanted(**wanted)))
    return said, {row["network"] for row in json.loads((folder / "latency.json").read_text())["networks"]}


def test_a_way_in_which_a_network_cannot_be_run_is_left_out(tmp_path: Path) -> None:
    said, rows = deployed(Views, IMAGES, tmp_path)
    assert "small, channels last is not in the table: The network cannot be run on inputs" in said
    assert rows == {"dense", "small"} and "load_network.py loads it" in said


def test_inputs_by_name_stay_what_they_are(tmp_path: Path) -> None:
    batch = {"places": 2 * torch.rand(2, 16), "tokens": torch.randn(2, 16)}
    said, rows = deployed(ByName, batch, tmp_path, onnx=True, program=True)
    assert "network.onnx gives the same" in said and rows == {"dense", "small", "network.pt2", "ONNX Runtime"}
    small = pruners.load(tmp_path).apply(ByName()).eval()
    loaded, runs = torch.export.load(tmp_path / "network.pt2"), graphs.OnnxNetwork(tmp_path / "network.onnx")
    with torch.no_grad():
        assert largest_difference(small(**batch), loaded.module()(**batch)) < 1e-6
        assert largest_difference(small(**batch), runs(**batch)) < 1e-6


def test_what_has_no_operator_in_onnx_is_said(tmp_path: Path) -> None:
    class Eigenvalues(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(x).abs()

    x = torch.randn(2, 3, 3)
    program = graphs.program_of(Eigenvalues(), x)
    with pytest.raises(SweepError, match=r"The network cannot be an ONNX file: .*linalg_eig") as caught:
        graphs.write_onnx(program, Eigenvalues(), x, tmp_path / "network.onnx")
    assert "\n" not in str(caught.value) and not (tmp_path / "network.onnx").exists()


def test_the_largest_difference_is_told() -> None:
    nan, inf = float("nan"), float("inf")
    one, big = torch.ones(2), torch.full((2,), 100.0)
    assert largest_difference((big, one), [big, one + 0.1]) == pytest.approx(0.1)
    assert largest_difference(big, big + 1) == pytest.approx(0.01)
    assert (
        largest_difference({"a": torch.tensor([True, False]), "b": None}, [torch.tensor([True, True])]) == 1
    )
    assert largest_difference(torch.tensor([-inf, nan, 1]), torch.tensor([-inf, nan, 1])) == 0
    assert largest_difference((one, one), (one, torch.tensor([nan, 1]))) != 0
    assert not largest_difference((one, one), (one, torch.tensor([nan, 1]))) <= 1
    assert largest_difference(torch.zeros(0), torch.zeros(0)) == 0
    with pytest.raises(ValueError, match=r"an output is \(2, 1\), not \(2,\)"):
        largest_difference(one, one.unsqueeze(1))


def test_weights_in_one_storage_are_written_apart(tmp_path: Path) -> None:
    def factory() -> nn.Module:
        network = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        network[2].weight.data = network[0].weight.data
        return network

    network, batch = factory().eval(), torch.randn(2, 8)
    artifact = pruners.compress(network, "magnitude", keep_ratio=0.5)
    write_loader(artifact, network, factory, batch, tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(load_network.load(factory(), tmp_path)(batch), network(batch))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one trial, on a network of our own."""
    folder = tmp_path_factory.mktemp("deployed") / "study"
    data = digits(
        task={"network": "mlp", "data": "digits", "network_options": {"widths": [64, 48]}},
        compression={"method": "alds", "latency_batch": 4},
        parameters={"budget.keep_ratio": {"values": [0.3]}},
        budget={},
        method="grid",
        run_cap=1,
    )
    assert run(data, folder).count("complete") == 1
    return folder


def test_an_export_with_everything(tombola: Tombola, study: Path) -> None:
    answer = tombola("export", str(study), "--to", "small", "--onnx", "--torch-export", "--int8")
    assert answer.exit_code == 0, answer.stderr
    folder = Path("small")
    told = json.loads((folder / "latency.json").read_text())
    rows = {row["network"]: row for row in told["networks"]}
    assert list(rows) == [
        "dense",
        "small",
        "small, channels last",
        "network.pt2",
        "ONNX Runtime",
        "int8",
    ]
    sized = [row for name, row in rows.items() if name != "small, channels last"]
    assert told["batch"] == 4 and all(row["bytes"] > 0 for row in sized)
    assert rows["dense"]["kept"] == 1.0 and all(row["ms"] > 0 for row in rows.values())
    assert rows["small"]["bytes"] < 0.5 * rows["dense"]["bytes"]
    assert rows["ONNX Runtime"]["bytes"] == (folder / "network.onnx").stat().st_size
    assert "network.onnx gives the same in ONNX Runtime, to " in answer.stdout
    assert "ms for 4 inputs" in answer.stdout and "ONNX Runtime" in answer.stdout
    network = trainables.build_network(TaskConfig("mlp", "digits", {"widths": [64, 48]}))
    small = pruners.load(folder).apply(network).eval()
    image = trainables.example_input(TaskConfig("mlp", "digits"))
    with torch.no_grad():
        torch.testing.assert_close(graphs.OnnxNetwork(folder / "network.onnx")(image)[0], small(image))
        assert pruners.load_int8(folder / INT8)(image).shape == small(image).shape
    plain = load_network.load(
        trainables.build_network(TaskConfig("mlp", "digits", {"widths": [64, 48]})), folder
    )
    with torch.no_grad():
        torch.testing.assert_close(plain(image), small(image))
    # which needs nothing of ours
    loads = "import sys; sys.path.insert(0, 'small'); import load_network; print(*sorted(sys.modules))"
    env = {"PYTHONPATH": "", "PATH": ""}
    found = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, env=env, check=True)
    assert not {"pruners", "trainables", "sweeps"} & set(found.stdout.split())


def test_what_is_missing_is_said_before_anything_is_written(
    tombola: Tombola, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "_NEEDED", ("onnx", "no_such_package"))
    answer = tombola("export", str(study), "--to", "small", "--onnx")
    assert answer.exit_code == 2 and not Path("small").exists()
    assert answer.stderr == "tombola: --onnx needs no_such_package: pip install 'tombola[onnx]'.\n"
    monkeypatch.setenv("CXX", "no-such-compiler")
    answer = tombola("export", str(study), "--to", "small", "--compile")
    assert answer.exit_code == 2 and not Path("small").exists()
    assert answer.stderr == "tombola: --compile needs a C++ compiler, and there is no no-such-compiler.\n"


@pytest.mark.parametrize(
    ("held", "gone"),
    [
        pytest.param("network: mlp", "network: gone.away:network", id="its network is gone"),
        pytest.param("method: alds", "method: gone.away:Method", id="its sweep file no longer holds"),
    ],
)
def test_an_export_where_the_network_cannot_be_built(
    tombola: Tombola, study: Path, tmp_path: Path, held: str, gone: str
) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    file = copy / "sweep.yaml"
    file.write_text(file.read_text().replace(held, gone))
    answer = tombola("export", str(copy), "--to", "small")
    assert answer.exit_code == 0, answer.stderr
    assert "No loader and no table: the task's own network cannot be built here" in answer.stdout
    assert pruners.load("small").params > 0


def test_the_sections_are_those_of_the_trial(study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(study, tmp_path / "copy")
    data = yaml.safe_load((copy / "sweep.yaml").read_text())
    del data["task"]["network"], data["task"]["network_options"], data["compression"]["latency_batch"]
    widths = {"task.network_options.widths": {"values": [[64, 48], [32, 16]]}}
    data["parameters"] |= {
        "task.network": {"values": [{"value": "mlp", "parameters": widths}, "lenet_300_100"]},
        "compression.latency_batch": {"values": [1, 2]},
    }
    data["method"] = "random"
    (copy / "sweep.yaml").write_text(yaml.safe_dump(data))
    record = load_record(copy)
    params = {"budget.keep_ratio": 0.3, "task.network": "lenet_300_100", "compression.latency_batch": 2}
    own = sections_of(record, TrialRecord("7", "complete", params))
    assert (own.task.network, own.task.network_options, own.compression.latency_batch) == (
        "lenet_300_100",
        {},
        2,
    )
    baseline = sections_of(record, TrialRecord("baseline-svd", "complete"))
    assert (baseline.task.network, baseline.compression.latency_batch) == ("mlp", 1)
