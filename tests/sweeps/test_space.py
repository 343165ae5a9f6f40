"""W&B's forms of a parameter mean to Optuna what they mean at W&B."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps import Sweep, SweepError
from sweeps.sweep_file import distributions
from sweeps.sweep_file.keys import Parameter
from sweeps.sweep_file.yaml_file import dumped, parse, parse_value
from tests.sweeps.studies import digits

SHARE = st.floats(1e-6, 1e6)


def built(**form: Any) -> BaseDistribution:
    return distributions.distribution(Parameter.model_validate(form))


FORMS: list[tuple[dict[str, Any], BaseDistribution]] = [
    ({"values": [1, "a", None, True, 0.5]}, CategoricalDistribution([1, "a", None, True, 0.5])),
    ({"values": [3], "distribution": "categorical"}, CategoricalDistribution([3])),
    ({"min": 1, "max": 9}, IntDistribution(1, 9)),
    ({"min": 1, "max": 9.0}, FloatDistribution(1, 9)),
    ({"min": 0.5, "max": 0.5}, FloatDistribution(0.5, 0.5)),
    ({"min": 1, "max": 9, "distribution": "uniform"}, FloatDistribution(1, 9)),
    ({"min": 1.0, "max": 9.0, "distribution": "int_uniform"}, IntDistribution(1, 9)),
    ({"min": 0, "max": 10, "q": 5}, IntDistribution(0, 10, step=5)),
    ({"min": 0, "max": 11, "q": 5}, IntDistribution(0, 10, step=5)),
    ({"min": 0.0, "max": 1.0, "q": 0.1}, FloatDistribution(0, 1, step=0.1)),
    ({"min": 0.0, "max": 1.0, "q": 0.3}, FloatDistribution(0, 0.9, step=0.3)),
    ({"min": 0.5, "max": 3, "distribution": "q_uniform"}, FloatDistribution(0.5, 2.5, step=1)),
    (
        {"min": 1e-4, "max": 1e-1, "distribution": "log_uniform_values"},
        FloatDistribution(1e-4, 1e-1, log=True),
    ),
    ({"min": -2, "max": 1, "distribution": "log_uniform"}, FloatDistribution(math.exp(-2), math.e, log=True)),
    ({"min": 1, "max": 64, "distribution": "q_log_uniform_values"}, IntDistribution(1, 64, log=True)),
    ({"min": 0, "max": 3, "q": 1, "distribution": "q_log_uniform"}, IntDistribution(1, 20, log=True)),
]


@pytest.mark.parametrize(("form", "expected"), FORMS, ids=[str(form) for form, _ in FORMS])
def test_a_form_of_wandb_is_the_distribution_of_optuna(
    form: dict[str, Any], expected: BaseDistribution
) -> None:
    assert built(**form) == expected


@given(st.floats(-300, 300), st.floats(0, 300))
def test_log_uniform_takes_natural_logarithms_as_bounds(low: float, width: float) -> None:
    distribution = built(min=low, max=low + width, distribution="log_uniform")
    assert isinstance(distribution, FloatDistribution) and distribution.log
    assert math.log(distribution.low) == pytest.approx(low, abs=1e-9)
    assert math.log(distribution.high) == pytest.approx(low + width, abs=1e-9)


@given(SHARE, SHARE)
def test_log_uniform_values_takes_the_values_themselves(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert built(min=low, max=high, distribution="log_uniform_values") == FloatDistribution(
        low, high, log=True
    )


@given(
    st.decimals(-100, 100, places=3),
    st.integers(0, 500),
    st.decimals("0.001", 10, places=3),
    st.decimals(0, "0.999", places=3),
)
def test_a_quantised_range_holds_every_multiple_and_nothing_beyond_its_end(
    low: Any, steps: int, q: Any, rest: Any
) -> None:
    high = low + q * steps + q * rest
    distribution = built(min=float(low), max=float(high), q=float(q))
    assert isinstance(distribution, FloatDistribution)
    assert distribution.high == pytest.approx(float(low + q * steps), abs=1e-9)


@given(st.integers(-1000, 1000), st.integers(0, 1000))
def test_two_whole_numbers_are_an_integer_range(low: int, width: int) -> None:
    assert built(min=low, max=low + width) == IntDistribution(low, low + width)


@given(st.floats(min_value=1e-12, max_value=1e12), st.sampled_from(["{:e}", "{:.3E}", "{!r}"]))
def test_numbers_are_numbers_as_people_write_them(number: float, style: str) -> None:
    text = style.format(number)
    assert parse_value(text) == float(text) and isinstance(parse_value(text), float)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("-2E5", -2e5), (".5e+2", 50.0), ("1e3", 1000.0), ("1e", "1e"), ("e3", "e3")],
)
def test_a_number_with_an_exponent_needs_no_point(text: str, value: Any) -> None:
    assert parse(f"lr: {text}", "f").data == {"lr": value}


def test_nested_parameters_have_dotted_names_and_constants_are_held() -> None:
    sweep = Sweep.from_data(
        digits(
            parameters={
                "training": {
                    "parameters": {
                        "lr": {"min": 0.01, "max": 0.1},
                        "schedule": {"parameters": {"name": {"value": "cosine"}}},
                    }
                },
                "budget.keep_ratio": {"values": [0.2, 0.5]},
                "compression": {
                    "parameters": {"options": {"parameters": {"metric": {"values": ["max", "sum"]}}}}
                },
            },
            budget={},
        )
    )
    assert list(sweep.space.distributions) == [
        "training.lr",
        "budget.keep_ratio",
        "compression.options.metric",
    ]
    assert sweep.space.constants == {"training.schedule.name": "cosine"}
    sections = sweep.sections(
        {"training.lr": 0.02, "budget.keep_ratio": 0.5, "compression.options.metric": "sum"}
    )
    assert (sections.training.lr, sections.training.schedule.name) == (0.02, "cosine")
    assert sections.compression.options == {"metric": "sum"} and sections.budget.keep_ratio == 0.5
    assert sections.training.epochs == 1


def test_a_drawn_value_replaces_the_files_own() -> None:
    sweep = Sweep.from_data(
        digits(training={"epochs": 1, "lr": 0.5}, parameters={"training.lr": {"values": [0.1]}})
    )
    assert sweep.sections({"training.lr": 0.1}).training.lr == 0.1


def test_set_changes_one_key_and_is_named_where_it_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: s\ntask: {network: lenet_300_100, data: digits}\ncompression: {method: alds}\nbudget: "
        "{keep_ratio: .5}\n"
    )
    sweep = Sweep.from_file(
        file,
        [
            "run_cap=3",
            "metric={name: val/loss, goal: minimize}",
            "training.lr=1e-3",
            "parameters={training.epochs: {values: [1, 2]}}",
        ],
    )
    assert sweep.file.run_cap == 3 and sweep.sections({"training.epochs": 2}).training.lr == 1e-3
    assert sweep.space.distributions == {"training.epochs": CategoricalDistribution([1, 2])}
    assert sweep.data["training"] == {"lr": 1e-3}
    with pytest.raises(
        SweepError, match=r"^--set training\.lr=-1: training\.lr: should be greater than 0\.$"
    ):
        Sweep.from_file(file, ["run_cap=3", "metric={name: val/loss, goal: minimize}", "training.lr=-1"])


def test_set_reaches_into_a_parameter_whose_name_holds_dots(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(dumped(digits(parameters={"training.lr": {"min": 0.01, "max": 0.1}})))
    changed = Sweep.from_file(file, ["parameters.training.lr.max=0.5"])
    assert changed.space.distributions["training.lr"] == FloatDistribution(0.01, 0.5)
