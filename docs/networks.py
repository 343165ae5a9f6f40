"""Writes docs/networks.md: torchvision's classifiers through compress, apply, forward, cost, save, load.

`make networks` runs each network that has no result in runs/networks yet, in a process of its own, and
writes the page.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, list_models

import pruners
from docs.multiply_adds_by_hand import by_hand

HERE = Path(__file__).parent
METHODS = ("alds", "svd", "magnitude")
KEEP_RATIO = 0.5
DETECTION, SEGMENTATION = "ssdlite320_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"
_SIDES = {"inception_v3": 299, DETECTION: 320, "maxvit_t": 224, "vit_h_14": 70}  # pixels; all others take 64
_LARGEST = 250_000_000  # parameters; a process holds a network some seven times


@dataclass(frozen=True)
class Subject:
    """How a network is made and called.

    ``example`` is one input, ``batch`` two, ``labels`` what train mode needs beside them.
    """

    make: Callable[[], nn.Module]
    side: int
    example: Any
    batch: Any
    labels: tuple[Any, ...] = ()


@dataclass
class Row:
    """What came of a network; ``kept`` holds the shares of parameters and multiply-adds that methods left."""

    name: str
    params: int = 0
    side: int = 0
    multiply_adds: int = 0
    by_hand: int = 0
    kept: dict[str, tuple[float, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def every() -> list[str]:
    """List the names of all networks that the page is about."""
    return [*list_models(module=torchvision.models), DETECTION, SEGMENTATION]


def subject(name: str, **options: Any) -> Subject:
    """Describe the network of this name, without trained weights; ``options`` are its builder's."""
    side = _SIDES.get(name, 64)
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    if name.startswith("vit_"):
        options["image_size"] = side
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # it takes a minute
    if name in (DETECTION, SEGMENTATION):
        options["weights_backbone"] = None

    def make() -> nn.Module:
        return get_model(name, weights=None, **options)

    if name == DETECTION:
        box = {"boxes": torch.tensor([[10.0, 10.0, 200.0, 200.0]]), "labels": torch.tensor([1])}
        return Subject(make, side, ([images[0]],), (list(images),), ([box, box],))
    return Subject(make, side, (images[:1],), (images,))


def check(name: str, given: Subject | None = None, methods: Sequence[str] = METHODS) -> Row:
    """Take a network through everything; what fails is told in the row, by method."""
    start, given = time.perf_counter(), given or subject(name)
    torch.manual_seed(0)
    dense = given.make().eval()
    row = Row(name, sum(parameter.numel() for parameter in dense.parameters()), given.side)
    with _noting(row, "dense"):
        row.multiply_adds, row.by_hand = (
            pruners.cost(dense, given.example).multiply_adds,
            by_hand(dense, given.example),
        )
        if row.by_hand != row.multiply_adds:
            row.failures.append(f"dense: {row.multiply_adds} multiply-adds, by hand {row.by_hand}")
    for method in methods if row.params <= _LARGEST else ():
        with _noting(row, method):
            row.kept[method] = _through(given, dense, method, row)
    row.seconds = round(time.perf_counter() - start, 1)
    return row


def _through(given: Subject, dense: nn.Module, method: str, row: Row) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pruners.PrunerWarning)  # of what no method reaches
        artifact = pruners.compress(dense, method, keep_ratio=KEEP_RATIO)
    small = artifact.apply(dense)
    if not _finite(small.train()(*given.batch, *given.labels)):
        row.failures.append(f"{method}: outputs in train mode are not finite")
    outputs = _evaluated(small, given.batch)
    if not _finite(outputs):
        row.failures.append(f"{method}: outputs in eval mode are not finite")
    cost = pruners.cost(small, given.example, mask=artifact if isinstance(artifact, pruners.Mask) else None)
    if not 0 <= cost.multiply_adds <= row.multiply_adds:
        row.failures.append(f"{method}: {cost.multiply_adds} multiply-adds of {row.multiply_adds}")
    with tempfile.TemporaryDirectory() as folder:
        artifact.capture(small).save(folder)
        again = pruners.load(folder).apply(given.make())
    if not all(map(torch.equal, _tensors(_evaluated(again, given.batch)), _tensors(outputs))):
        row.failures.append(f"{method}: loaded onto a fresh network it has other outputs")
    return cost.params / row.params, cost.multiply_adds / row.multiply_adds


@contextmanager
def _noting(row: Row, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        row.failures.append(f"{what}: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}")


def _evaluated(network: nn.Module, batch: Any) -> Any:
    with torch.no_grad():
        return network.eval()(*batch)


def _finite(outputs: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in _tensors(outputs))


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return [tensor for part in parts if part is not None for tensor in _tensors(part)]


def _run(names: Sequence[str], results: Path, seconds: int) -> None:
    """Run each network in a process of its own.

    Its memory comes back, and one that dies or hangs leaves a row that says so.
    """
    for name in names:
        path = results / f"{name}.json"
        if path.exists():
            continue
        print(name, flush=True)
        command = [sys.executable, "-m", "docs.networks", "--results", str(results), "--one", name]
        try:
            code = subprocess.run(command, timeout=seconds, check=False).returncode
            failure = f"its process ended with {code}" if code else ""
        except subprocess.TimeoutExpired:
            failure = f"not done after {seconds} s"
        if failure:
            path.write_text(json.dumps(asdict(Row(name, failures=[failure]))), encoding="utf-8")


def page(rows: Sequence[Row]) -> str:
    """Write the page, in Markdown."""
    heads = ["Network", "Parameters", "Input", "Multiply-adds", *(f"{m}: left" for m in METHODS), "Result"]
    lines = [
        heads,
        ["---", "--:", "--:", "--:", *["--:"] * len(METHODS), "---"],
        *(_cells(row) for row in rows),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    good = sum(not row.failures and len(row.kept) == len(METHODS) for row in rows)
    left = [name for name in every() if name not in {row.name for row in rows}]
    missing = f"\n\nNot run yet: {', '.join(left)}." if left else ""
    return f"""# torchvision's networks

`make networks` writes this page. It takes every classification network of torchvision
{torchvision.__version__.split("+")[0]}, a detection network (`{DETECTION}`) and a segmentation network
(`{SEGMENTATION}`), without trained weights. Each of three methods compresses them to a keep ratio of
{KEEP_RATIO}. The small network is run in train and in eval mode, its cost is taken, and it is saved and
loaded onto a fresh network, whose outputs must be the same to the bit. Multiply-adds of one input, of
the given width and height in pixels, must be as many as are counted by hand, layer by layer, and no
method may leave fewer than none or more than all. "left" is the share of all parameters / of all
multiply-adds that is left; weights that a method does not reach are among them. Networks of more than
{_LARGEST // 10**6} million parameters are counted, not compressed.

{good} of {len(rows)} went through everything.{missing}

{table}
"""


def _cells(row: Row) -> list[str]:
    left = [f"{row.kept[m][0]:.3f} / {row.kept[m][1]:.3f}" if m in row.kept else "" for m in METHODS]
    result = "; ".join(row.failures) or ("good" if len(row.kept) == len(METHODS) else "counted")
    return [
        row.name,
        f"{row.params:,}",
        str(row.side),
        f"{row.multiply_adds:,}",
        *left,
        result.replace("|", "\\|"),
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks to run; all that have no result, if none is named")
    parser.add_argument(
        "--results", type=Path, default=Path("runs/networks"), help="folder of one file a network"
    )
    parser.add_argument("--timeout", type=int, default=900, help="seconds for one network")
    parser.add_argument("--one", action="store_true", help="run the one network named, in this process")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        (name,) = arguments.names
        (arguments.results / f"{name}.json").write_text(json.dumps(asdict(check(name))), encoding="utf-8")
        return
    _run(arguments.names or every(), arguments.results, arguments.timeout)
    found = [arguments.results / f"{name}.json" for name in every()]
    rows = [Row(**json.loads(path.read_text(encoding="utf-8"))) for path in found if path.exists()]
    (HERE / "networks.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
