"""Damaged files, full and read-only disks: a sentence each, and nothing is lost that had ended."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pruners
import sweeps
from sweeps import SweepError
from tests.faults.conftest import Tombola
from tests.sweeps.studies import digits, run

SWEEP = digits(name="damage", parameters={"training.lr": {"min": 0.01, "max": 0.1}}, run_cap=3)
Figures = list[tuple[dict[str, float], tuple[float, ...] | None]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "study"
    run(SWEEP, folder)
    return folder


def figures(folder: Path) -> Figures:
    return [(dict(t.params), t.values) for t in sweeps.load_record(folder).complete]


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :]


def places(content: bytes, seed: int, number: int) -> list[int]:
    return sorted(random.Random(seed).randrange(len(content)) for _ in range(number))


@pytest.mark.parametrize("how", ["flipped", "cut"])
@pytest.mark.parametrize(
    "name", ["journal.log", "study.json", "sweep.yaml", "test.json", "trials/1/result.json"]
)
def test_a_damaged_file_of_a_study_is_a_sentence_or_does_no_harm(
    tmp_path: Path, study: Path, name: str, how: str
) -> None:
    copy = tmp_path / "study"
    shutil.copytree(study, copy, ignore=shutil.ignore_patterns("store", "best"))
    content = (copy / name).read_bytes()
    for place in places(content, 0, 40):
        (copy / name).write_bytes(flipped(content, place) if how == "flipped" else content[:place])
        try:
            record = sweeps.load_record(copy)
        except SweepError as error:
            assert "damage" in str(error), f"at {place}: no word of a damaged file"
        else:
            assert len(record.trials) <= 3
    (copy / name).write_bytes(content)
    assert figures(copy) == figures(study)


@pytest.mark.parametrize("seed", range(3))
def test_a_journal_that_is_cut_anywhere_is_gone_on_with(tmp_path: Path, study: Path, seed: int) -> None:
    """What the workers left on disk is taken from there: no trial is trained again."""
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    journal = copy / "journal.log"
    content = journal.read_bytes()
    begun = content.index(b"\n") + 1
    journal.write_bytes(content[: begun + places(content[begun:], seed, 1)[0]])
    trained = len(list(copy.glob("store/*/*/training_log.jsonl")))
    run(SWEEP, copy)
    assert figures(copy) == figures(study)
    assert len(list(copy.glob("store/*/*/training_log.jsonl"))) == trained


@pytest.mark.parametrize("how", ["flipped", "cut"])
def test_a_damaged_artifact_is_refused(tmp_path: Path, study: Path, how: str) -> None:
    for name in [path.name for path in (study / "best").iterdir()]:
        copy = tmp_path / name
        shutil.copytree(study / "best", copy)
        content = (copy / name).read_bytes()
        for place in places(content, 1, 25):
            (copy / name).write_bytes(flipped(content, place) if how == "flipped" else content[:place])
            with pytest.raises(pruners.PrunerError):
                pruners.load(copy)


def test_a_damaged_store_is_built_again_with_the_same_bits(tmp_path: Path, study: Path) -> None:
    copy, dice = tmp_path / "study", random.Random(2)
    shutil.copytree(study, copy)
    for path in sorted((copy / "store").rglob("*")):
        if path.name.startswith("lease"):
            continue  # waited for until its patience ends: tests/trainables/test_lease.py
        if path.is_file() and path.suffix in (".safetensors", ".pt", ".json"):
            content = path.read_bytes()
            place = dice.randrange(len(content))
            path.write_bytes(flipped(content, place) if dice.random() < 0.5 else content[:place])
    (copy / "journal.log").unlink()
    shutil.rmtree(copy / "trials")
    with pytest.warns(Warning, match="is damaged"):
        run(SWEEP, copy)
    assert figures(copy) == figures(study)


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size of its own."""
    if os.getuid() != 0:
        pytest.skip("Only root can mount a file system.")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.mark.parametrize("size", ["16k", "600k", "1500k", "all but the report"])
def test_a_full_disk_is_a_sentence_and_the_study_goes_on_with_more_room(
    tombola: Tombola, study: Path, size: str
) -> None:
    (tombola.folder / "s.yaml").write_text(json.dumps(SWEEP))
    if size == "all but the report":
        everything = sum(file.stat().st_size for file in study.rglob("*") if file.is_file())
        size = f"{(everything - (study / 'report.html').stat().st_size // 2) // 1024}k"
    with disk(tombola.folder / "disk", size) as folder:
        full = tombola("run", "s.yaml", "--in-process", "--out", "disk/study")
        assert full.code == 1, full.printed
        assert "is full; free some space and run the same command again" in full.errors, full.errors
        assert "disk/study" in full.errors and full.errors.count("\n") == 1
        remount(folder, "size=200m")
        again = tombola("run", "s.yaml", "--in-process", "--out", "disk/study")
        assert again.code == 0, again.errors
        assert figures(folder / "study") == figures(study)


def test_a_read_only_disk_is_a_sentence_and_can_be_looked_at(tombola: Tombola, study: Path) -> None:
    with disk(tombola.folder / "disk", "200m") as folder:
        shutil.copytree(study, folder / "study")
        remount(folder, "ro")
        refused = tombola("resume", "disk/study", "--in-process", "--trials", "4")
        assert refused.code == 1 and refused.errors.count("\n") == 1
        assert "disk/study" in refused.errors and "cannot be written to" in refused.errors, refused.errors
        assert tombola("status", "disk/study").code == 0
        remount(folder, "rw")
        assert tombola("resume", "disk/study", "--in-process", "--trials", "4").code == 0
        assert figures(folder / "study")[:3] == figures(study)
