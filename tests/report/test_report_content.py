"""What the report says, read from its own text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pytest

from sweeps.report import write_report
from sweeps.report.charts.importance import importance_charts, importances
from sweeps.report.charts.layers import layers_chart
from sweeps.report.drawing.chart import opening_range
from sweeps.report.header import facts
from sweeps.study.record import StudyRecord, TrialRecord

from .studies import study_record


class _Text(HTMLParser):
    """The words of a page; scripts and styles are none."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._skipped = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._skipped = False

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.words.append(data)


def text_of(record: StudyRecord, path: Path) -> str:
    write_report(record, path / "report.html")
    parser = _Text()
    parser.feed((path / "report.html").read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", " ".join(parser.words))


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    record = study_record(tmp_path, replicates=3)
    for name in ("one.html", "two.html"):
        write_report(record, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"one.html", "two.html"}, (
        "nothing unfinished is left"
    )


def test_a_report_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError):
        write_report(study_record(tmp_path, trials=1), tmp_path / "report.html")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_the_header_and_the_summary(tmp_path: Path) -> None:
    record = study_record(tmp_path, replicates=3)
    best = record.best
    assert best is not None and best.values is not None
    text = text_of(record, tmp_path)
    assert f"{len(record.complete)} of 24 trials complete" in text
    assert (
        f"{record.count('failed')} failed" in text
        and f"{record.count('stopped_early')} stopped early" in text
    )
    assert (
        "25 % of the compressible weights" in text and "resnet20 on digits" in text and "torch 2.15.0" in text
    )
    removed = 100 * (1 - best.metrics["compress/params_kept"])
    assert (
        f"Best found trial {best.key}, "
        f"3 replicates {100 * best.values[0]:.2f} ± 0.21 97.91 ± 0.18 – {removed:.1f}"  # noqa: RUF001 in text
    )
    assert "read once" in text


@pytest.mark.parametrize(
    ("searched", "said"),
    [
        ({"values": ["svd", "magnitude"]}, "svd, magnitude"),
        ({"values": [{"value": "alds", "parameters": {}}, "svd"]}, "alds, svd"),
        ({"value": "grasp"}, "grasp"),
    ],
)
def test_methods_that_are_searched_are_named(searched: dict[str, Any], said: str, tmp_path: Path) -> None:
    record = study_record(tmp_path, trials=2)
    sweep = {
        **record.sweep,
        "compression": {"options": {}, "tolerance": None, "retrain_epochs": 1},
        "parameters": {"compression.method": searched},
    }
    assert dict(facts(replace(record, sweep=sweep)))["Compression"] == said


def test_test_figures_are_absent_until_they_are_read(tmp_path: Path) -> None:
    text = text_of(replace(study_record(tmp_path), test={}), tmp_path)
    assert "The test split has not been read." in text
    assert "97.91" not in text


def test_a_test_reading_belongs_to_the_network_that_was_read(tmp_path: Path) -> None:
    record = study_record(tmp_path)
    earlier = {**record.test, "best": {**record.test["best"], "key": "3", "test/accuracy": 0.5555}}
    text = text_of(replace(record, test=earlier), tmp_path)
    assert "read when trial 3 was the best" in text
    assert "55.55" not in text


def test_a_study_that_only_failed_says_why(tmp_path: Path) -> None:
    text = text_of(study_record(tmp_path, trials=9, failing=True), tmp_path)
    assert (
        "No trial was completed. The most frequent failure (9 trials): the loss became NaN in <epoch> 2"
        in text
    )
    assert "Importance needs at least two complete trials." in text


def test_a_baseline_that_failed_says_why(tmp_path: Path) -> None:
    failed = TrialRecord("baseline-svd", "failed", reason="out of memory in <conv1>")
    text = text_of(replace(study_record(tmp_path), baselines=(failed,)), tmp_path)
    assert "svd baseline, failed: out of memory in <conv1> – – – – – –" in text  # noqa: RUF001


def test_importance_says_how_much_it_leaves_out() -> None:
    shares = {f"parameter {place}": 0.04 for place in range(25)}
    (chart,) = importance_charts(shares, "")
    assert chart.figure is not None and len(chart.figure.data[0].x) == 20
    assert "5 further parameters share the remaining 20.0 %" in chart.caption


@pytest.mark.parametrize("constant", [True, False])
def test_importance_finds_the_parameter_that_matters_or_says_why_not(constant: bool, tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def value(trial: optuna.Trial) -> float:
        idle, strong = trial.suggest_float("idle", 0, 1), trial.suggest_float("strong", 0, 1)
        return 1.0 if constant else 10 * strong + 0.01 * idle

    study.optimize(value, n_trials=40)
    shares, reason = importances(replace(study_record(tmp_path, trials=1), study=study))
    if constant:
        assert shares == {} and "could not be computed" in reason
    else:
        assert next(iter(shares)) == "strong" and shares["strong"] > 0.9


def test_a_layer_that_one_network_left_dense_is_a_full_bar(tmp_path: Path) -> None:
    record = study_record(tmp_path)
    assert record.own is not None and record.best is not None and record.own.key != record.best.key
    without = replace(
        record.own, layers={name: layer for name, layer in record.own.layers.items() if name != "conv1"}
    )
    figure = layers_chart(replace(record, own=without)).figure
    assert figure is not None
    own, best = figure.data
    place = list(own.text).index("dense")
    assert own.x[place] == 100
    conv1 = record.best.layers["conv1"]
    assert best.text[place] == f"{conv1['rank']} × {conv1['num_subspaces']}"  # noqa: RUF001
    assert list(own.text).count("dense") == 1


def test_one_failure_does_not_squash_the_chart() -> None:
    low, high = opening_range([97.0, 97.5, 98.0, 98.2, 98.4, 10.0], must_show=[99.1])
    assert 90 < low < 97 and high > 99.1
    assert opening_range([5.0])[0] < 5 < opening_range([5.0])[1]
