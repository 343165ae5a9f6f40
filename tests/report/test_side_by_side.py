"""Studies of one task side by side, told from networks that were really trained."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest, ttest_rel

from sweeps import StudyRecord
from sweeps.cli import cli
from sweeps.errors import SweepError
from sweeps.report.side_by_side import contests, standing
from trainables.task.metrics.packed import packed

from .studies import study_record

ACCURACY = "val/accuracy"


def part(record: StudyRecord, folder: str, methods: Sequence[str]) -> StudyRecord:
    """What the record would be of a study with these methods alone, without the shuffled masks."""
    kept = [
        t
        for t in record.trials
        if t.params["compression.method"] in methods and t.params["compression.control"] == "none"
    ]
    return replace(record, directory=Path(folder), trials=tuple(kept))


def accuracies(record: StudyRecord, keep_ratio: float) -> dict[str, list[float]]:
    """Each trial's accuracies at this budget, by its seeds in order."""
    return {
        t.key: [r["metrics"][ACCURACY] for r in sorted(t.replicates, key=lambda r: r["seed"])]
        for t in record.trials
        if t.params["budget.keep_ratio"] == keep_ratio
    }


def test_each_budget_has_its_order_and_its_test(at_initialisation: StudyRecord) -> None:
    studies = [part(at_initialisation, name, [name]) for name in ("random", "snip", "magnitude")]
    found = contests(studies)
    assert [contest.budget for contest in found] == ["keep_ratio 0.3", "keep_ratio 0.05"]
    for contest, keep_ratio in zip(found, (0.3, 0.05), strict=True):
        told = {str(s.directory): next(iter(accuracies(s, keep_ratio).values())) for s in studies}
        expected = sorted(told, key=lambda name: sum(told[name]), reverse=True)
        names = [str(entry.record.directory) for entry in contest.entries]
        assert [sum(told[n]) for n in names] == [sum(told[n]) for n in expected]
        first, *others = contest.entries
        assert first.behind is None
        for entry in others:
            ours, best = told[str(entry.record.directory)], told[names[0]]
            assert entry.behind is not None
            assert entry.behind.difference == pytest.approx(sum(ours) / 2 - sum(best) / 2)
            spread = len({round(a - b, 9) for a, b in zip(ours, best, strict=True)})
            assert entry.behind.p == (pytest.approx(ttest_rel(ours, best).pvalue) if spread > 1 else None)
    ahead = standing(found)
    assert sum(budgets for budgets, _ in ahead.values()) == 2
    assert set(ahead) == {str(contest.entries[0].record.directory) for contest in found}


def test_a_study_enters_with_its_best_at_a_budget(at_initialisation: StudyRecord) -> None:
    both, one = (
        part(at_initialisation, "both", ["snip", "magnitude"]),
        part(at_initialisation, "one", ["random"]),
    )
    for contest, keep_ratio in zip(contests([one, both]), (0.3, 0.05), strict=True):
        [entry] = [entry for entry in contest.entries if entry.record is both]
        told = accuracies(both, keep_ratio)
        assert sum(told[entry.trial.key]) == max(map(sum, told.values()))


def test_studies_without_common_budgets_are_compared_by_size(
    at_initialisation: StudyRecord, without_dense: StudyRecord
) -> None:
    records = (at_initialisation, without_dense)
    found = contests(records)
    for contest in found:
        most = float(contest.budget.split()[2]) / 100
        for record in records:
            entered = [entry.trial for entry in contest.entries if entry.record is record]
            small = [t for t in record.feasible if t.metrics["compress/params_kept"] <= most]
            best = sorted((t.metrics[ACCURACY] for t in small), reverse=True)[:1]
            assert [t.metrics[ACCURACY] for t in entered] == best
            assert all(trial in small for trial in entered)
    told = [[entry.trial.key for entry in contest.entries] for contest in found]
    assert len(told) > 1 and all(one != other for one, other in pairwise(told))


def test_studies_of_different_tasks_are_refused(at_initialisation: StudyRecord) -> None:
    sweep = dict(at_initialisation.sweep)
    sweep["task"] = {**sweep["task"], "data": "mnist1d"}
    other = replace(at_initialisation, directory=Path("other"), sweep=sweep)
    with pytest.raises(SweepError, match=r"task\.data is digits in .* and mnist1d in other\."):
        contests([at_initialisation, other])


def test_the_command_prints_tables_and_data(
    at_initialisation: StudyRecord, without_dense: StudyRecord
) -> None:
    folders = [str(record.directory) for record in (at_initialisation, without_dense)]
    printed = CliRunner().invoke(cli, ["compare", *folders], catch_exceptions=False)
    assert "accuracy" in printed.output and "is ahead at" in printed.output
    assert "Differences are on validation" in printed.output or "seeds differ" in printed.output
    data = json.loads(CliRunner().invoke(cli, ["compare", *folders, "--json"]).output)
    expected = contests([at_initialisation, without_dense])
    assert [contest["budget"] for contest in data] == [contest.budget for contest in expected]
    for contest, other in zip(data, expected, strict=True):
        assert [n["trial"] for n in contest["networks"]] == [entry.trial.key for entry in other.entries]
        assert contest["networks"][0]["behind"] is None


def test_one_study_is_not_compared_with_itself(at_initialisation: StudyRecord) -> None:
    folder = str(at_initialisation.directory)
    with pytest.raises(SweepError, match="Give two studies or more"):
        CliRunner().invoke(cli, ["compare", folder, folder], catch_exceptions=False, standalone_mode=False)


def with_one_seed(tmp_path: Path, name: str, right: Sequence[bool]) -> StudyRecord:
    """A study whose best network told these validation examples right."""
    record = study_record(tmp_path / name, trials=1, name=name)
    [trial], accuracy = record.trials, sum(right) / len(right)
    metrics = {**trial.metrics, ACCURACY: accuracy}
    reached = replace(
        trial, metrics=metrics, values=(accuracy,), replicates=({"seed": 0, "metrics": metrics},)
    )
    reading = {"seed": 0, "test/accuracy": 0.5, "right": {"val": packed(np.array(right))}}
    test = {"best": {"key": trial.key, "replicates": [reading]}}
    return replace(record, trials=(reached,), own=None, test=test)


def test_with_one_seed_the_examples_tell_how_sure_it_is(tmp_path: Path) -> None:
    better = with_one_seed(tmp_path, "better", [True] * 90 + [False] * 10)
    worse = with_one_seed(tmp_path, "worse", [False] * 12 + [True] * 79 + [False] * 9)
    [contest] = contests([worse, better])
    first, second = contest.entries
    assert first.record is better and second.behind is not None
    assert second.behind.difference == pytest.approx(-0.11) and second.behind.over == "100 examples"
    assert second.behind.p == pytest.approx(binomtest(1, 13).pvalue)
    assert standing([contest]) == {str(better.directory): (1, 1)}


def test_none_is_ahead_of_its_equal(tmp_path: Path) -> None:
    equal = [with_one_seed(tmp_path, name, [True] * 80 + [False] * 20) for name in ("one", "other")]
    assert standing(contests(equal)) == {}


def test_a_study_without_a_network_leaves_the_budgets_as_they_are(
    at_initialisation: StudyRecord, tmp_path: Path
) -> None:
    studies = [part(at_initialisation, name, [name]) for name in ("snip", "random")]
    empty = replace(part(at_initialisation, "empty", ["snip"]), trials=())
    budgets = [contest.budget for contest in contests([*studies, empty])]
    assert budgets == ["keep_ratio 0.3", "keep_ratio 0.05"]
