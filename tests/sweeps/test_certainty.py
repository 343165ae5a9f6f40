"""By how much networks of a study differ, against counting by hand over their own answers."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from rich.console import Console
from scipy.stats import binomtest, ttest_rel

import pruners
from sweeps import Objective, StudyRecord, TrialRecord
from sweeps.report import certainty
from sweeps.report.headline import headline
from sweeps.study.closing_table import closing_table, failed_baselines
from tests.sweeps.studies import digits, run
from trainables.config import TaskConfig
from trainables.task import task

TOLERANCES = {
    "budget": {"keep_ratio": 0.05},
    "per_layer": {"tolerance": {"min": 0.5, "max": 2}},
    "training": {"epochs": 3, "batch_size": 64, "lr": 0.1},
}


def told(record: StudyRecord) -> str:
    """The closing table as text, wide enough for every cell."""
    console = Console(file=io.StringIO(), width=200)
    console.print(closing_table(record))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return run(digits(**TOLERANCES, baselines=["svd"], run_cap=4), tmp_path_factory.mktemp("s") / "one")


def right_on(record: StudyRecord, key: str, split: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which digits a trial's network tells right, from the network itself."""
    config = TaskConfig("lenet_300_100", "digits")
    artifact = pruners.load(record.directory / "trials" / key / "network" / "seed-0")
    network = artifact.apply(task.build_network(config)).eval()
    data = getattr(task.load_data(config), {"val": "validation", "test": "test"}[split])
    with torch.no_grad():
        found = [network(x).argmax(1) == y for x, y in data.in_order(100, torch.device("cpu"))]
    return torch.cat(found).numpy()


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_difference_is_told_from_the_examples_that_one_network_alone_tells_right(
    study: StudyRecord, split: str
) -> None:
    own = right_on(study, "0", split)
    for key in {"baseline-svd", study.best.key if study.best else "0"} - {"0"}:
        other = right_on(study, key, split)
        found = study.compared(key, "val" if split == "val" else "test")
        assert found is not None
        only, only_own = int((other & ~own).sum()), int((own & ~other).sum())
        assert found.difference == pytest.approx(other.mean() - own.mean())
        assert found.p == pytest.approx(binomtest(only, max(only + only_own, 1)).pvalue)
        assert found.over == f"{len(own)} examples"
    assert study.compared("0", "test") is None  # the method's own answer itself
    dense = study.compared("dense", "test")
    assert dense is not None and dense.difference == pytest.approx(
        study.test["dense"]["test/accuracy"] - own.mean() if split == "test" else dense.difference
    )


def test_the_table_lists_every_network_with_test_and_how_sure_it_is(study: StudyRecord) -> None:
    lines = {line.split("│")[1].strip(): line for line in told(study).splitlines() if line.startswith("│")}
    assert study.best is not None
    assert list(lines) == [
        "dense",
        "svd (baseline)",
        "method's own answer",
        f"best found (trial {study.best.key})",
    ]
    found = study.compared("baseline-svd", "test")
    assert found is not None
    assert f"{study.test['baseline-svd']['test/accuracy']:.2%}" in lines["svd (baseline)"]
    chance = found.chance.replace(" ", "").replace("0.", ".")
    assert f"{100 * found.difference:+.2f}, {chance}" in lines["svd (baseline)"]
    page = (study.directory / "report.html").read_text(encoding="utf-8")
    assert f"{100 * found.difference:+.2f} points ({found.chance})".replace("<", "&lt;") in page


def test_test_is_read_once_for_every_baseline_too(study: StudyRecord) -> None:
    readings = json.loads((study.directory / "test.json").read_text(encoding="utf-8"))
    keys = {"dense", "0", "baseline-svd", study.best.key if study.best else "0"}
    assert set(readings) == keys
    before = (study.directory / "test.json").stat().st_mtime_ns
    again = run(digits(**TOLERANCES, baselines=["svd"], run_cap=4), study.directory)
    assert (study.directory / "test.json").stat().st_mtime_ns == before and again.test == study.test


def test_a_study_that_goes_on_may_choose_anew(study: StudyRecord, tmp_path: Path) -> None:
    folder = shutil.copytree(study.directory, tmp_path / "again")
    chosen = run(
        digits(**TOLERANCES, baselines=["svd"], run_cap=4, choose={"smallest_within": 0.9}), folder
    ).best
    assert chosen is not None
    sizes = [t.metrics["compress/params_kept"] for t in study.complete]
    assert chosen.metrics["compress/params_kept"] == min(sizes)
    seed = folder / "trials" / chosen.key / "network" / "seed-0"
    assert (folder / "best/model.safetensors").read_bytes() == (seed / "model.safetensors").read_bytes()


def test_seeds_are_compared_where_there_are_several(tmp_path: Path) -> None:
    record = run(digits(**TOLERANCES, baselines=["svd"], replicates=3, run_cap=1), tmp_path / "three")
    found = record.compared("baseline-svd", "test")
    values = [
        [one["test/accuracy"] for one in record.test[role]["replicates"]] for role in ("baseline-svd", "own")
    ]
    expected = ttest_rel(*values)
    assert found is not None and found.over == "3 seeds"
    assert found.p == pytest.approx(expected.pvalue)
    assert found.error == pytest.approx(np.std(np.subtract(*values), ddof=1) / np.sqrt(3))
    assert found.is_tie == (abs(found.difference) <= found.error)


def test_the_headline_says_how_sure_it_is(study: StudyRecord) -> None:
    best = study.best
    assert best is not None
    said = headline(study)
    assert certainty.against_own(study, best) in said
    if best.key != "0":
        assert "Against the method's own answer: " in said and "points on test, " in said
    error = study.standard_error(best)
    accuracy = best.metrics["val/accuracy"]
    assert error == pytest.approx(np.sqrt(accuracy * (1 - accuracy) / len(right_on(study, "0", "val"))))
    near = [
        t for t in study.complete if t != best and abs(t.metrics["val/accuracy"] - accuracy) <= (error or 0)
    ]
    assert certainty.close_by(study).startswith(f"{len(near) or 'No'} other trial")
    assert certainty.close_by(study) in said


@pytest.mark.parametrize(("reached", "is_told"), [(0.93, True), (0.9, False), (0.7, False)])
def test_the_headline_names_a_baseline_that_is_ahead_of_the_best_found(reached: float, is_told: bool) -> None:
    objectives = (Objective("val/accuracy", "maximize"),)
    trial = TrialRecord("0", "complete", values=(0.9,), metrics={"val/accuracy": 0.9})
    svd = TrialRecord("baseline-svd", "complete", metrics={"val/accuracy": reached})
    failed = TrialRecord("baseline-x", "failed", metrics={"val/accuracy": 0.99}, reason="out of memory")
    study = optuna.create_study(directions=["maximize"])
    record = StudyRecord(Path(), "s", objectives, 1, (trial,), (svd, failed), {}, None, {}, {}, {}, study)
    told = "The baseline svd does better: 93.00\N{NARROW NO-BREAK SPACE}%."
    assert (told in headline(record)) == is_told and "baseline x" not in headline(record)
    assert failed_baselines(record) == ["Baseline x failed: out of memory"]


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ((0.95, 0.9, 0.8), "It is the only one within 1 point of the dense one's validation accuracy."),
        ((0.95, 0.95, 0.8), "Of 2 networks within 1 point of the dense one's validation accuracy it has the"),
        ((0.9, 0.85, 0.8), "No network is within 1 point of the dense one's validation accuracy; this one"),
    ],
)
def test_the_headline_says_why_it_is_taken(accuracies: tuple[float, ...], said: str) -> None:
    objectives = (Objective("val/accuracy", "maximize"), Objective("compress/params_kept", "minimize"))
    trials = tuple(
        TrialRecord(
            str(number),
            "complete",
            values=(accuracy, 0.5 - number / 10),
            metrics={"dense/val/accuracy": 0.955},
        )
        for number, accuracy in enumerate(accuracies)
    )
    study = optuna.create_study(directions=[o.goal for o in objectives])
    record = StudyRecord(Path(), "s", objectives, 3, trials, (), {}, None, {}, {}, {}, study)
    assert said in headline(record)
