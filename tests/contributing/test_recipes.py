"""CONTRIBUTING.md's recipes, followed to the letter in a scratch copy, make what they say."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.pages import PROJECT, section

COPIED = (
    "pruners",
    "trainables",
    "sweeps",
    "tests",
    "docs",
    "pyproject.toml",
    "tombola.py",
    "README.md",
    "CONTRIBUTING.md",
)

METHODS = ("decomposition", "mask", "channels")
"""The kinds of method, each with a sweep of its own in added.py; that of masks takes all other additions."""
SELECTED = "added and (validated or same_answer or same_seed or round_trip) or every_name or every_option"


@dataclass(frozen=True)
class Addition:
    """A thing like one that is there already: ``words`` says how each of the latter's names is spelt now.

    ``file`` is the folder's file that the new one is modelled on, ``differs`` what is another there; without
    a file all is said in lines.
    """

    recipe: str
    words: dict[str, str]
    file: str = ""
    differs: dict[str, str] = field(default_factory=dict)


ADDITIONS = {
    "decomposition": Addition(
        "Add a method",
        {"svd": "added_svd", "SVD": "AddedSVD"},
        "svd.py",
        {"step[name] * max(1, int(share * most) // step[name])": "max(1, int(share * most) // 2 * 2)"},
    ),
    "mask": Addition(
        "Add a method",
        {"magnitude": "added_magnitude", "Magnitude": "AddedMagnitude"},
        "magnitude.py",
        {".abs()": ".square()"},
    ),
    "channels": Addition(
        "Add a method",
        {"l1": "added_l1", "L1": "AddedL1"},
        "l1.py",
        {"(network, groups, 1)": "(network, groups, 3)"},
    ),
    "network": Addition("Add a network", {"mlp": "added_mlp"}, "mlp.py", {"nn.ReLU()": "nn.Tanh()"}),
    "data set": Addition("Add a data set", {"digits": "added_digits"}, "digits.py", {"0.2, 0.2": "0.3, 0.3"}),
    "sampler": Addition("Add a sampler", {"random": "added_genetic", "RandomSampler": "NSGAIISampler"}),
    "metric": Addition(
        "Add a metric",
        {"top5_accuracy": "added_accuracy", "TopFiveAccuracy": "AddedAccuracy", "classes": "added_classes"},
        "classes.py",
        {"_TOP = 5": "_TOP = 2"},
    ),
    "trainable": Addition(
        "Add a trainable",
        {"prune_at_init": "added_at_init", "PruneAtInit": "AddedAtInit"},
        "prune_at_init.py",
        {"Train(0, steps, steps)": "Train(0, steps, steps, last_rate=True)"},
    ),
}


def places(recipe: str) -> list[str]:
    """Folders (with a / at their end) and files that a recipe's steps name, in their order."""
    steps = re.findall(r"^(?:\d\. |   )(.*)$", section("CONTRIBUTING.md", recipe), re.MULTILINE)
    return re.findall(r"`([\w-]+(?:/[\w-]+)*/(?:[\w-]+\.(?:py|md))?)`", "\n".join(steps))


def renamed(text: str, words: dict[str, str]) -> str:
    return re.sub(rf"\b({'|'.join(words)})\b", lambda match: words[match[1]], text)


def follow(addition: Addition, copy: Path) -> None:
    """Do what the recipe says: its new file, and in every file that it names lines below the model's."""
    found = places(addition.recipe)
    if addition.file:
        [folder] = [
            copy / place for place in found if place.endswith("/") and (copy / place / addition.file).exists()
        ]
        text = renamed((folder / addition.file).read_text(), addition.words)
        for old, new in addition.differs.items():
            text = text.replace(old, new)
        name = renamed(Path(addition.file).stem, addition.words)
        (folder / f"{name}.py").write_text(text)
    model = next(iter(addition.words))
    mentions = re.compile(rf"^(?:from [\w.]+ import|\| `(?:val/)?{model}` \||\s+\"{model}\": )|^\s+\w+\(\),$")
    for place in found:
        if not place.endswith("/") and (copy / place).name != "trainable.py":
            lines = (copy / place).read_text().splitlines(keepends=True)
            for index, line in reversed(list(enumerate(lines))):
                if mentions.match(line) and renamed(line, addition.words) != line:
                    lines.insert(index + 1, renamed(line, addition.words))
            (copy / place).write_text("".join(lines))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of the scratch copy in which all recipes were followed."""
    copy = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / name, copy / name)
    for addition in ADDITIONS.values():
        follow(addition, copy)
    shutil.copy(PROJECT / "tests/contributing/added.py", copy / "tests/sweeps/test_added.py")
    tests = [
        "tests/sweeps/test_added.py",
        "tests/docs/test_sweep_file_page.py",
        "tests/pruners/test_conformance.py",
        "tests/pruners/test_mask_conformance.py",
        "tests/pruners/test_channel_conformance.py",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-k", SELECTED]
    ran = subprocess.run([*command, *tests], cwd=copy, capture_output=True, text=True)
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("kind", ADDITIONS)
def test_a_recipe_adds_what_it_says(report: str, kind: str) -> None:
    ran = kind if kind in METHODS else "mask"
    assert f"PASSED tests/sweeps/test_added.py::test_what_was_added_is_validated_and_run[{ran}]" in report, (
        report
    )
    if kind in METHODS:
        name = next(iter(ADDITIONS[kind].words.values()))
        assert len(re.findall(rf"^PASSED tests/pruners/\S+\[\S*{name}\S*\]", report, re.MULTILINE)) == 2, (
            report
        )


def test_a_recipe_forgets_no_row_of_the_page(report: str) -> None:
    assert not re.findall(r"^(?:FAILED|ERROR) .*", report, re.MULTILINE), report
    assert "PASSED tests/docs/test_sweep_file_page.py::test_every_name_has_its_row" in report, report
