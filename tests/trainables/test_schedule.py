import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.config import ScheduleConfig
from trainables.training.schedule import factor

HORIZONS = st.integers(1, 300)
PLACES = st.floats(0, 1, exclude_max=True)


@st.composite
def schedules(draw: st.DrawFn, horizon: int) -> ScheduleConfig:
    name = draw(st.sampled_from(["constant", "multistep", "cosine", "linear", "poly"]))
    steps: dict = {}
    if name == "multistep" and draw(st.booleans()):
        steps["every"] = draw(st.floats(0.5, 50))
    elif name == "multistep":
        steps["milestones"] = tuple(draw(st.lists(st.floats(0.1, 300), min_size=1, max_size=4)))
    return ScheduleConfig(
        name, warmup=draw(st.floats(0, horizon / 2)), gamma=draw(st.floats(0.05, 1)), **steps
    )


@given(st.data(), HORIZONS, PLACES, PLACES)
def test_rises_during_warm_up_and_never_after(
    data: st.DataObject, horizon: int, one: float, other: float
) -> None:
    schedule = data.draw(schedules(horizon))
    early, late = sorted((one * horizon, other * horizon))
    before, after = factor(schedule, early, horizon), factor(schedule, late, horizon)
    assert min(before, after) >= 0 and max(before, after) <= 1
    if late < schedule.warmup:
        assert before <= after
    elif early >= schedule.warmup:
        assert before >= after


@given(HORIZONS, PLACES)
def test_without_warm_up_curves_follow_their_formulas(horizon: int, place: float) -> None:
    epoch = place * horizon
    assert factor(ScheduleConfig(), epoch, horizon) == 1
    assert factor(ScheduleConfig("linear"), epoch, horizon) == pytest.approx(1 - place)
    assert factor(ScheduleConfig("poly"), epoch, horizon) == pytest.approx((1 - place) ** 0.9)
    assert factor(ScheduleConfig("cosine"), epoch, horizon) == pytest.approx(
        (1 + math.cos(math.pi * place)) / 2
    )


def test_multistep_drops_at_its_milestones_in_any_order() -> None:
    schedule = ScheduleConfig("multistep", milestones=(136, 91), gamma=0.1, warmup=5)
    at = {epoch: factor(schedule, epoch, 182) for epoch in (2.5, 5, 90.99, 91, 135.9, 136, 181)}
    assert at == pytest.approx({2.5: 0.5, 5: 1, 90.99: 1, 91: 0.1, 135.9: 0.1, 136: 0.01, 181: 0.01})


def test_multistep_drops_every_so_many_epochs() -> None:
    schedule = ScheduleConfig("multistep", every=30, gamma=0.5)
    assert [factor(schedule, epoch, 300) for epoch in (0, 29.9, 30, 61, 299)] == [
        1,
        1,
        0.5,
        0.25,
        0.5**9,
    ]
