"""Whoever follows a page from top to bottom finds that it works."""

import contextlib
import doctest
import io
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.cli import cli
from sweeps.report.drawing.wording import name_of
from sweeps.study.record import StudyRecord
from tests.docs.pages import PAGES, PROJECT, Block, blocks, command_lines

DEMO = Path("sweeps/configs/digits.yaml")
TASKS = "docs/tasks.md"
QUICK = tuple(
    part
    for setting in (
        "training.epochs=1",
        "compression.calibration_images=64",
        "screen={trials: 3, images: 64}",
        "replicates=1",
    )
    for part in ("--set", setting)
)
CHEAP = ("plan", "methods", "validate", "status", "report", "export")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder in which the demo's study has run, with fewer epochs and trials, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / DEMO).parent.mkdir(parents=True)
    shutil.copy(PROJECT / DEMO, folder / DEMO)
    printed = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(printed),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("COLUMNS", "112")  # as wide as the README's table
        assert not cli.main(
            ["run", str(DEMO), "--in-process", "--trials", "2", *QUICK], standalone_mode=False
        )
    yield folder, printed.getvalue()


@pytest.fixture
def reader(demo: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a reader stands: a folder with the demo's study, on Python's path as by the command."""
    folder = shutil.copytree(demo[0], tmp_path / "reader")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def is_cheap(words: list[str]) -> bool:
    """Whether a command starts no Ray, needs no cluster and trains little."""
    if "--cluster" in words:
        return False  # tests/cluster/test_ray_up.py
    names = [word for word in words[1:] if not word.startswith("-")]
    return words[0] == "tombola" and (names[0] in CHEAP or "--dry-run" in words or "--in-process" in words)


def follow(block: Block, names: dict[str, object]) -> None:
    """Do what a block says."""
    if block.file:
        Path(block.file).write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        exec(compile(block.text, block.page, "exec"), names)
    elif block.language == "sh":
        for words in filter(is_cheap, command_lines(block)):
            assert not cli.main(words[1:], standalone_mode=False), words


@pytest.mark.parametrize("page", [page for page in PAGES if page != TASKS and blocks(page, "python", "sh")])
def test_a_page_works_from_top_to_bottom(page: str, reader: Path) -> None:
    names: dict[str, object] = {"__name__": page}
    for block in blocks(page):
        follow(block, names)


@pytest.mark.filterwarnings(
    "ignore:Layer 'head' shares its weight:UserWarning"
)  # it stays dense in the decomposition
def test_a_transformer_and_a_segmentation_network_go_through_a_whole_sweep_each(reader: Path) -> None:
    names: dict[str, object] = {"__name__": TASKS}
    for block in blocks(TASKS):
        follow(block, names)
    for name, metrics, chance in (
        ("sums", ("accuracy", "top5_accuracy"), 1 / 13),
        ("ink", ("mean_iou", "accuracy"), 1 / 3),
    ):
        record = names[name]
        assert isinstance(record, StudyRecord)
        assert {trial.params["compression.method"] for trial in record.complete} == set(
            record.sweep["parameters"]["compression.method"]["values"]
        )
        assert [metric.name for metric in record.measured] == [f"val/{metric}" for metric in metrics]
        for trial in record.complete:
            assert trial.metrics[f"val/{metrics[0]}"] > 1.5 * chance
            assert trial.metrics["compress/params_kept"] < 0.8 and trial.metrics["compress/flops_kept"] < 0.8
        assert {f"test/{metric}" for metric in metrics} <= record.test["best"].keys() & record.test[
            "dense"
        ].keys()
        page = (record.directory / "report.html").read_text(encoding="utf-8")
        assert all(title in page for title in map(name_of, (f"test/{metric}" for metric in metrics)))
    sums = names["sums"]
    assert isinstance(sums, StudyRecord)
    [masked] = [trial for trial in sums.complete if trial.params["compression.method"] == "magnitude"]
    assert {name.partition(".")[0] for name in masked.layers} == {"attention", "feed", "head"}
    assert (
        sum(name.startswith("attention") for name in masked.layers) == 2
    )  # the packed projections and the one behind them


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "pycon")])
def test_a_page_of_examples_prints_what_it_says(page: str, reader: Path) -> None:
    result = doctest.testfile(str(PROJECT / page), module_relative=False)
    assert result.attempted > 0
    assert result.failed == 0


def test_a_network_and_data_of_ones_own_take_at_most_15_lines() -> None:
    [module] = [block for block in blocks("docs/own-network.md", "python") if block.file]
    assert len(module.text.splitlines()) <= 15
    assert "def network(" in module.text
    assert "def data(" in module.text


def test_the_readme_shows_what_the_demo_prints(demo: tuple[Path, str]) -> None:
    def shape(text: str) -> str:
        return re.sub(r"(p[=<]|[\s\d.%±+,━─-])+", " ", text)  # a difference with its sign and its p

    [shown] = [block.text for block in blocks("README.md", "text") if "best found" in block.text]
    shown = shown.replace(".venv/bin/", "")  # the test's own command stands beside no wandb
    # so few are screened here that more trials want more of them
    printed = re.sub(r" --in-process| --set screen\.trials=\d+", "", demo[1])
    assert shape(shown).strip() in shape(printed)
