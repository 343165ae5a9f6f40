"""Methods of a user's own, named package.module:Class."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import pruners
from pruners.testing import RankMethodSuite, ScoreMethodSuite

MINE = "tests.pruners.users_methods"
RANKS, SCORES = f"{MINE}:FirstLayersLess", f"{MINE}:FourthPower"

UNUSABLE = {
    "nowhere.mine:Rule": "importing nowhere.mine failed with ModuleNotFoundError: No module named 'nowhere'.",
    f"{MINE}:FourthPowr": rf"{MINE} has no 'FourthPowr'; did you mean 'FourthPower'?",
    f"{MINE}:": "is not of the form package.module:Class.",
    ":FourthPower": "is not of the form package.module:Class.",
    ".mine:Rule": "importing .mine failed with TypeError: the 'package' argument is required to perform a "
    "relative import for '.mine'.",
    f"{MINE}:function": "is a function, not a subclass of RankMethod",
    f"{MINE}:instance": "is a FourthPower, not a subclass of RankMethod",
    f"{MINE}:NoMethod": "is a class, not a subclass of RankMethod",
    f"{MINE}:OfNoKind": "is a class, not a subclass of RankMethod",
    f"{MINE}:Abstract": "is abstract: it does not define candidates and choose.",
    f"{MINE}:Raising": "raised RuntimeError: no licence found when it was made without arguments.",
    f"{MINE}:Demanding": "missing 1 required positional argument: 'path' when it was made without arguments.",
    f"{MINE}:Untitled": "has no title: give the class a text of that name.",
    f"{MINE}:NeedsText": "needs takes a tuple of data, loss, example, not 'data'.",
    f"{MINE}:NeedsMore": "needs takes a tuple of data, loss, example, not ('data', 'money').",
    f"{MINE}:NoTuple": "options takes a tuple of Option, not {'power': 4.0}.",
    f"{MINE}:NoOption": "options takes a tuple of Option, not ('power',).",
    f"{MINE}:Twice": "has two options of the name 'rounds'.",
    f"{MINE}:WrongDefault": "has an option with a default that it does not take: norm 'l3' is unknown; "
    "known are l1, l2.",
}


class TestRanks(RankMethodSuite):
    method = RANKS


class TestScores(ScoreMethodSuite):
    method = SCORES


@pytest.mark.parametrize("reference", UNUSABLE)
def test_what_is_no_method_is_said_in_a_sentence(reference: str, network: nn.Module) -> None:
    with pytest.raises(pruners.PrunerError) as caught:
        pruners.compress(network, reference, keep_ratio=0.5)
    said = str(caught.value)
    assert said.startswith(f"Method {reference}") and UNUSABLE[reference] in said
    assert "\n" not in said and len(re.findall(r"[.?](?: [A-Z]|$)", said)) <= 2


def test_a_module_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_method.py").write_text("1 / 0\n")
    with pytest.raises(pruners.UnknownMethod, match="failed with ZeroDivisionError: division by zero"):
        pruners.method_named("failing_method:Rule")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("LeavesOut", "Layer '0' was given no Cut"),
        ("Impossible", r"Layer '0' was given Cut\(rank=1, num_subspaces=5, .*\), which it cannot become"),
        ("OverBudget", r"OverBudget chose \d+ parameters, over the budget of \d+"),
    ],
)
def test_a_choice_that_is_none_is_refused(method: str, said: str, network: nn.Module) -> None:
    with pytest.raises(pruners.PrunerError, match=said):
        pruners.plan(network, f"{MINE}:{method}", keep_ratio=0.3)


def test_its_own_options_are_checked_and_do_what_they_say(network: nn.Module) -> None:
    bent, straight = (pruners.plan(network, RANKS, keep_ratio=0.4, bend=bend) for bend in (3, 1))
    assert (
        bent.layers["0"].rank < straight.layers["0"].rank
        and bent.layers["7"].rank > straight.layers["7"].rank
    )
    with pytest.raises(pruners.PrunerError, match=r"bend must be a positive number, not 0\."):
        pruners.plan(network, RANKS, keep_ratio=0.4, bend=0)
    with pytest.raises(pruners.UnknownOption, match=rf"{MINE}:FirstLayersLess has no option 'bendd'"):
        pruners.plan(network, RANKS, keep_ratio=0.4, bendd=2)


def test_a_mask_of_fourth_powers_is_that_of_magnitudes(network: nn.Module) -> None:
    own, known = (pruners.compress(network, method, keep_ratio=0.3) for method in (SCORES, "magnitude"))
    assert isinstance(own, pruners.Mask) and isinstance(known, pruners.Mask)
    assert own.method == SCORES
    assert all(torch.equal(own.masks[name], kept) for name, kept in known.masks.items())


def test_the_channels_with_the_best_scores_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    example = torch.ones(1, 3, 7, 7)
    own = pruners.compress(network, f"{MINE}:LastChannels", keep_ratio=0.5, example=example)
    assert isinstance(own, pruners.Channels) and own.method == f"{MINE}:LastChannels"
    kept = own.kept["0.weight"][0].tolist()
    assert kept == list(range(8 - len(kept), 8)) and 0 < len(kept) <= 4
    assert own.apply(network)(example).shape == (1, 4, 3, 3)


@pytest.mark.parametrize(("method", "call"), [(SCORES, pruners.plan), (RANKS, pruners.scores)])
def test_the_wrong_kind_is_refused(method: str, call: object, network: nn.Module) -> None:
    assert callable(call)
    with pytest.raises(pruners.PrunerError, match=f"Method {method} .*; those that do are"):
        call(network, method)
