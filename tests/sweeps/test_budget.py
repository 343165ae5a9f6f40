"""The budget of a sweep file, on its way to `pruners.compress`: one type, one place with the keyword."""

from pathlib import Path
from typing import Any

import pytest

import pruners
import sweeps
from sweeps import Sweep
from sweeps.search.prepare import prepare
from sweeps.study.paths import StudyPaths
from tests.sweeps.studies import digits
from trainables import run_trial, trial_config
from trainables.config import BudgetConfig
from trainables.recipes import RECIPES
from trainables.stages import Compress

NOTHING_TRAINED = {"epochs": 0, "batch_size": 128}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The budgets that `pruners` is asked for, each as the keywords of a call that goes through."""
    heard: list[dict[str, Any]] = []
    compress, least_budget = pruners.compress, pruners.least_budget

    def heard_compress(*args: Any, **kwargs: Any) -> Any:
        heard.append(
            {name: kwargs[name] for name in ("keep_ratio", "budget", "flops_ratio") if name in kwargs}
        )
        return compress(*args, **kwargs)

    def heard_least(network: Any, kind: str, **kwargs: Any) -> float:
        heard.append({kind: None})
        return least_budget(network, kind, **kwargs)

    monkeypatch.setattr(pruners, "compress", heard_compress)
    monkeypatch.setattr(pruners, "least_budget", heard_least)
    return heard


@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        ({"keep_ratio": 0.25}, {"keep_ratio": 0.25}),
        ({"parameters": 60_000}, {"budget": 60_000}),
        ({"flops_ratio": 0.5}, {"flops_ratio": 0.5}),
    ],
)
def test_a_budget_keeps_its_type_down_to_the_call(
    given: dict[str, float], keywords: dict[str, float], tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    prepared = prepare(Sweep.from_data(digits(budget=given, training=NOTHING_TRAINED)))
    assert asked and asked[0] == dict.fromkeys(keywords)  # whether it can be met
    asked.clear()

    config = prepared.trial_config("0", {}, StudyPaths(tmp_path))
    travelled = trial_config.validate_python(trial_config.dump_python(config, mode="json"))
    assert travelled.budget == config.budget == BudgetConfig(**given)  # type: ignore[arg-type]
    assert type(travelled.budget) is BudgetConfig
    (stage,) = (s for s in RECIPES["compress"].stages(travelled, 1) if isinstance(s, Compress))
    assert stage.budget is travelled.budget

    assert "failed" not in run_trial(travelled)
    assert asked == [keywords]
    assert all(type(asked[0][name]) is type(value) for name, value in keywords.items())


def test_a_lottery_asks_for_its_levels_with_the_same_type(tmp_path: Path) -> None:
    lottery = digits(
        trainable="lottery",
        compression={"method": "magnitude"},
        lottery={"levels": 2, "rate": 0.5},
        budget={},
        run_cap=1,
    )
    config = prepare(Sweep.from_data(lottery)).trial_config("0", {}, StudyPaths(tmp_path))
    stages = [s for s in RECIPES["lottery"].stages(config, 1) if isinstance(s, Compress)]
    assert [stage.budget for stage in stages] == [BudgetConfig(keep_ratio=0.5), BudgetConfig(keep_ratio=0.25)]


def test_levels_that_keep_nothing_are_refused_before_any_is_trained() -> None:
    lottery = {"levels": 400, "rate": 0.9}
    data = digits(trainable="lottery", compression={"method": "magnitude"}, lottery=lottery, budget={})
    with pytest.raises(
        sweeps.SweepError, match=r"lottery\.levels: level 324 at lottery\.rate 0\.9 keeps no weight\."
    ):
        prepare(Sweep.from_data(data))
