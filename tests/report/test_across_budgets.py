"""One sweep at several budgets, as docs/results.md shows it."""

from dataclasses import replace
from pathlib import Path

import pytest

from docs import across_budgets
from sweeps import StudyRecord
from sweeps.report.drawing.wording import NONE
from tests.report.studies import study_record


def at_budget(directory: Path, name: str, dense: list[float], **tested: list[float]) -> StudyRecord:
    """A study whose test split was read for these networks, a value for each of the seeds 3, 4, ..."""
    record = study_record(directory, name=name, trials=3, replicates=len(dense))
    keys = {"dense": "dense", "own": "0", **{name: f"baseline-{name}" for name in tested if name != "own"}}
    readings = {
        role: {"key": keys[role], "replicates": [{"seed": s, "test/accuracy": v} for s, v in seeded]}
        for role, values in {"dense": dense, **tested}.items()
        # in another order: seeds belong together
        for seeded in [sorted(enumerate(values, 3), reverse=role == "dense")]
    }
    return replace(record, test=readings)


@pytest.fixture
def budgets(tmp_path: Path) -> across_budgets.Budgets:
    few = at_budget(tmp_path, "few_0.1", [0.90, 0.92], svd=[0.30, 0.40], own=[0.80, 0.86])
    many = at_budget(tmp_path, "few_0.25", [0.90, 0.92], svd=[0.60, 0.70], own=[0.897, 0.915])
    alone = study_record(tmp_path, name="digits")
    (found,) = across_budgets.by_sweep([few, alone, many])
    return found


def test_studies_of_one_sweep_are_put_together(budgets: across_budgets.Budgets) -> None:
    assert budgets.name == "few" and list(budgets.studies) == [0.25, 0.1]
    assert list(budgets.networks) == ["svd", across_budgets.OWN]  # what test was read for


def test_accuracies_are_means_with_standard_errors(budgets: across_budgets.Budgets) -> None:
    heads, rows = across_budgets.accuracy_table(budgets)
    assert heads == ["Test accuracy, %", "25 % kept", "10 % kept"]
    assert rows == [
        ["dense", "91.00 ± 1.00", "91.00 ± 1.00"],
        ["svd", "65.00 ± 5.00", "35.00 ± 5.00"],
        [across_budgets.OWN, "90.60 ± 0.90", "83.00 ± 3.00"],
    ]
    said = across_budgets.best_of_each(budgets)
    assert said == (
        f"Best on test: 25 % kept: {across_budgets.OWN} (90.60 ± 0.90); "
        f"10 % kept: {across_budgets.OWN} (83.00 ± 3.00)."
    )


def test_compression_is_told_where_the_drop_is_half_a_point(budgets: across_budgets.Budgets) -> None:
    _, rows = across_budgets.compression_table(budgets)
    assert rows[0] == ["svd", *[NONE] * 4]
    kept = budgets.networks[across_budgets.OWN][0.25].trial.metrics["compress/params_kept"]
    assert rows[1][:3] == [across_budgets.OWN, "25", "0.40 ± 0.14"]
    assert rows[1][3] == f"{100 * (1 - kept):.2f} ± 0.00"


def test_the_picture_has_a_line_for_each_network(budgets: across_budgets.Budgets) -> None:
    figure = across_budgets.picture(budgets)
    assert [line.name for line in figure.data] == [across_budgets.OWN, "svd"]
    assert list(figure.data[0].x) == [25, 10]
    assert list(figure.data[0].y) == pytest.approx([90.6, 83])
    assert list(figure.data[0].error_y.array) == pytest.approx([0.9, 3])
