"""Methods that are broken, each in one way, with the suites that users inherit: no test is to be found here.

`test_suites` runs this file.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruners.own_method import (
    DENSE,
    AllocationProblem,
    Candidates,
    Cut,
    NetworkShape,
    ScoringInputs,
    layer_candidates,
)
from pruners.testing import ChannelMethodSuite, RankMethodSuite, ScoreMethodSuite
from tests.pruners.users_methods import FirstLayersLess, FourthPower, LastChannels

Scores = dict[str, Tensor]
_called = itertools.count()


class OverBudget(FirstLayersLess):
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        return dict.fromkeys(problem.candidates, DENSE)


class OtherEveryTime(FirstLayersLess):
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        return super().choose(problem, {**options, "bend": 1 + 7 * (next(_called) % 2)})


class IgnoresBudget(FirstLayersLess):
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        return {name: Cut(1, 1) if len(one.params) > 1 else DENSE for name, one in problem.candidates.items()}


class IgnoresExclude(FirstLayersLess):
    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        return {name: layer_candidates(layer, (1,)) for name, layer in shape.layers.items()}

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        return super().choose(problem, {**options, "exclude": []})


class ChangesWeights(FirstLayersLess):
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        model = problem.spectra.model()
        assert model is not None
        with torch.no_grad():
            next(model.parameters()).mul_(2)
        return super().choose(problem, options)


class Unseeded(FourthPower):
    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        generator = torch.Generator().manual_seed(next(_called))
        return {name: torch.rand(weight.shape, generator=generator) for name, weight in weights.items()}


class NotFinite(FourthPower):
    def scores(self, *given: Any) -> Scores:
        return {name: score / 0 for name, score in super().scores(*given).items()}


class LeavesOneOut(FourthPower):
    def scores(self, *given: Any) -> Scores:
        scores = super().scores(*given)
        scores.pop(next(iter(scores)))
        return scores


class OfOneValue(FourthPower):
    def scores(self, *given: Any) -> Scores:
        return {name: torch.ones_like(score) for name, score in super().scores(*given).items()}


class InSinglePrecision(FourthPower):
    def scores(self, *given: Any) -> Scores:
        return {name: score.float() for name, score in super().scores(*given).items()}


class ChangesData(FourthPower):
    needs = ("data", "loss")

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        for inputs, _ in scoring_inputs.batches:
            inputs.add_(1)
        return super().scores(network, weights, alive, scoring_inputs, options)


MINE = "tests.pruners.broken_methods"


class UnseededChannels(LastChannels):
    def scores(self, *given: Any) -> Scores:
        turned = -1 if next(_called) % 2 else 1
        return {name: turned * score for name, score in super().scores(*given).items()}


class ChannelsOfOneValue(LastChannels):
    def scores(self, *given: Any) -> Scores:
        return {name: torch.ones_like(score) for name, score in super().scores(*given).items()}


class TestRankOverBudget(RankMethodSuite):
    method = f"{MINE}:OverBudget"


class TestRankOtherEveryTime(RankMethodSuite):
    method = f"{MINE}:OtherEveryTime"


class TestRankIgnoresBudget(RankMethodSuite):
    method = f"{MINE}:IgnoresBudget"


class TestRankIgnoresExclude(RankMethodSuite):
    method = f"{MINE}:IgnoresExclude"


class TestRankChangesWeights(RankMethodSuite):
    method = f"{MINE}:ChangesWeights"


class TestScoresUnseeded(ScoreMethodSuite):
    method = f"{MINE}:Unseeded"


class TestScoresNotFinite(ScoreMethodSuite):
    method = f"{MINE}:NotFinite"


class TestScoresLeavesOneOut(ScoreMethodSuite):
    method = f"{MINE}:LeavesOneOut"


class TestScoresOfOneValue(ScoreMethodSuite):
    method = f"{MINE}:OfOneValue"


class TestScoresInSinglePrecision(ScoreMethodSuite):
    method = f"{MINE}:InSinglePrecision"


class TestScoresChangesData(ScoreMethodSuite):
    method = f"{MINE}:ChangesData"


class TestChannelsUnseeded(ChannelMethodSuite):
    method = f"{MINE}:UnseededChannels"


class TestChannelsOfOneValue(ChannelMethodSuite):
    method = f"{MINE}:ChannelsOfOneValue"
