"""A study in a notebook, from studies that were really run."""

import math
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest
import torch

import trainables
from sweeps import Study, StudyRecord, SweepError
from trainables.task.data.splits import TensorSplit
from trainables.task.task import build_network, load_data


@pytest.fixture
def study(without_dense: StudyRecord) -> Study:
    return Study.load(without_dense.directory)


def test_run_gives_a_study(without_dense: StudyRecord, study: Study) -> None:
    assert isinstance(without_dense, Study)
    assert [t.values for t in without_dense.trials] == [t.values for t in study.trials]


def test_the_table_of_trials_is_the_study(study: Study) -> None:
    table = study.trials_dataframe()
    assert list(table["trial"]) == [t.key for t in (*study.trials, *study.baselines)]
    for (_, row), trial in zip(table.iterrows(), study.trials, strict=False):
        assert row["outcome"] == trial.outcome
        for name, value in {**trial.metrics, **{f"param/{n}": v for n, v in trial.params.items()}}.items():
            assert row[name] == value or (math.isnan(row[name]) and math.isnan(value))
        for objective, value in zip(study.objectives, trial.values or (), strict=True):
            assert row[objective.name] == value
    assert table["param/budget.keep_ratio"].dtype == float


def test_a_study_without_trials_is_an_empty_table(study: Study) -> None:
    empty = replace(study, trials=(), baselines=())
    table = empty.trials_dataframe()
    assert len(table) == 0 and {"trial", "outcome", "val/accuracy"} <= set(table.columns)


def test_figures_are_those_of_the_report(study: Study) -> None:
    figures: dict[str, Any] = study.plots()
    assert all(isinstance(figure, go.Figure) for figure in figures.values())
    assert study.plot_front() == figures["front-compress/params_kept"]
    assert study.plot_importance() == figures["importance"]
    assert len(study.plot_history().data) > 0


def test_a_figure_that_cannot_be_drawn_says_why(study: Study) -> None:
    empty = replace(study, trials=(), baselines=())
    with pytest.raises(SweepError, match="Nothing to draw yet"):
        empty.plot_front()


def test_the_network_is_the_one_that_was_measured(study: Study) -> None:
    for key in (None, 0, "1"):
        trial = study.best if key is None else next(t for t in study.trials if t.key == str(key))
        assert trial is not None
        network = study.network(key)
        task = trainables.TaskConfig("lenet_300_100", "digits", {"initialization": "glorot"})
        assert type(network) is type(build_network(task))
        split = load_data(task).validation
        assert isinstance(split, TensorSplit)
        with torch.inference_mode():
            right = (network(split.inputs).argmax(1) == split.labels).double().mean().item()
        assert right == pytest.approx(max(r["metrics"]["val/accuracy"] for r in trial.replicates))


def test_a_trial_that_is_not_there_is_a_sentence(study: Study) -> None:
    with pytest.raises(SweepError, match="there is no trial 99; the last is 2"):
        study.network(99)


def test_it_shows_itself(study: Study) -> None:
    assert study.best is not None
    assert repr(study).startswith(f"<Study 'search': 3 of 3 trials complete; best: trial {study.best.key}, ")
    shown = study._repr_html_()
    assert f"best found (trial {study.best.key})" in shown and "<table" in shown
