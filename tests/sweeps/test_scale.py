"""Factors of the layers' error curves: on budget in every trial, the own answer first, close to 1."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeps import StudyRecord, Sweep, SweepError
from sweeps.report.charts.error_curves import error_curves_chart
from sweeps.search.prepare import Prepared, prepare
from sweeps.study.paths import StudyPaths
from tests.sweeps.studies import digits, run


def scaled(**keys: Any) -> dict[str, Any]:
    """A search over the scales of a method with error curves; ``keys`` replace its keys."""
    return digits(
        **{
            "compression": {
                "method": "calibrated",
                "options": {"error": "output"},
                "recalibrate_bn": 0,
                "calibration_images": 32,
            },
            "per_layer": {"scale": {"spread": 0.5}},
            "budget": {"keep_ratio": 0.3},
            **keys,
        }
    )


def prepared(**keys: Any) -> Prepared:
    return prepare(Sweep.from_data(scaled(**keys)))


def test_every_trial_is_on_budget_and_the_first_is_the_method_s_own_answer(tmp_path: Path) -> None:
    record = run(scaled(run_cap=4, baselines=["calibrated"]), tmp_path)
    assert record.count("complete") == 4 and record.own == record.trials[0]
    assert set(record.trials[0].params.values()) == {1.0}
    assert record.baselines[0].layers == record.trials[0].layers
    assert len({str(t.layers) for t in record.trials}) > 1, "else the scales change nothing"
    assert_curves_hold_the_choice(record)
    weights = sum(layer["dense_params"] for layer in record.trials[0].layers.values())
    for trial in record.trials:
        assert sum(layer["params"] for layer in trial.layers.values()) <= 0.3 * weights


def assert_curves_hold_the_choice(record: StudyRecord) -> None:
    """What a layer became lies on its curve, and the report has a picture of it."""
    own = record.trials[0]
    assert own.curves.keys() == {"1", "3", "5"}
    for name, curve in own.curves.items():
        shares, errors = zip(*curve, strict=True)
        assert list(shares) == sorted(set(shares)) and list(errors) == sorted(set(errors), reverse=True)
        assert shares[-1] == 1.0 and errors[-1] == 0.0
        if layer := own.layers.get(name):
            share = layer["params"] / layer["dense_params"]
            below = [error for at, error in curve if at <= share]
            above = [error for at, error in curve if at >= share]
            assert above[0] <= layer["error"] * (1 + 1e-9) and layer["error"] <= below[-1] * (1 + 1e-9)
    drawn = error_curves_chart(record)
    assert drawn is not None and drawn.figure is not None
    lines = [trace for trace in drawn.figure.data if trace.mode == "lines"]
    assert [len(line.x) for line in lines] == [len(curve) for curve in own.curves.values()]
    assert "What the layers were chosen by" in (record.directory / "report.html").read_text()


def test_a_scale_is_the_method_s_option_of_its_layer() -> None:
    ready = prepared()
    config = ready.trial_config("1", {"1/scale": 1.5, "5/scale": 0.5}, StudyPaths(Path("s")))
    assert config.compression.options == {"error": "output", "scale": {"1": 1.5, "5": 0.5}}


@pytest.mark.parametrize("method", ["cmaes", "random", "tpe"])
def test_scales_are_drawn_around_1_with_the_spread(method: str) -> None:
    import optuna

    ready, drawn = prepared(method=method), []
    for number in range(400 // 3):
        study = optuna.create_study()
        study.enqueue_trial(ready.first_trial or {})
        study.sampler = ready.sampler(0)
        study.tell(ready.space.ask(study), 0.0)
        study.sampler = ready.sampler(number + 1)
        drawn += [math.log(value) for value in ready.space.ask(study).params.values()]
    assert abs(np.mean(drawn)) < 0.08 and np.std(drawn) == pytest.approx(0.5, rel=0.12)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"compression": {"method": "alds"}},
            "needs a method with the option scale, and alds has none",
        ),
        ({"per_layer": {"scale": {"spread": 0}}}, "per_layer.scale.spread: should be greater than 0"),
        ({"per_layer": {"scale": {}, "rank": {}}}, "per_layer takes either tolerance, or scale, or rank"),
        ({"per_layer": {"scale": {}, "layers": ["conv*"]}}, '"conv*" matches no compressible layer'),
        (
            {"compression": {"method": "magnitude", "options": {"allocation": "global"}}},
            "scale multiplies curves of the allocation measured; global has none",
        ),
    ],
)
def test_what_has_no_curves_or_no_such_layer_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(SweepError) as refused:
        prepared(**keys)
    assert said in str(refused.value) and refused.value.exit_code == 2


def test_the_densities_of_a_mask_are_scaled_too(tmp_path: Path) -> None:
    compression = {
        "method": "magnitude",
        "options": {"allocation": "measured"},
        "recalibrate_bn": 0,
        "calibration_images": 32,
    }
    record = run(scaled(compression=compression, budget={"keep_ratio": 0.1}), tmp_path)
    assert record.count("complete") == 2 and set(record.trials[0].params.values()) == {1.0}
    kept = [sum(layer["params"] for layer in t.layers.values()) for t in record.trials]
    assert kept[0] == kept[1] and record.trials[0].layers != record.trials[1].layers
