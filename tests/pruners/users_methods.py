"""A user's own methods, right ones and such as cannot be used."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from pruners import Method
from pruners.own_method import (
    CANDIDATE_SUBSPACES,
    DENSE,
    EXCLUDE,
    WHAT_LAYERS_MAY_BECOME,
    AllocationProblem,
    Candidates,
    ChannelGroup,
    ChannelInputs,
    ChannelMethod,
    Choice,
    Cut,
    NetworkShape,
    Number,
    Option,
    RankMethod,
    ScoreMethod,
    Scores,
    ScoringInputs,
    best_options,
    cuts_at_largest_share,
    every_cut,
    excluding,
    knapsack,
    layer_candidates,
)


class FirstLayersLess(RankMethod):
    """The same share of the full rank in every layer, to the power of ``bend`` in the first half of them."""

    title = "First layers less"
    paper = "nowhere"
    options = (EXCLUDE, Option("bend", 2.0, "power of the first layers' share", Number(above=True)))

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        found, free = excluding(shape, options["exclude"])
        found |= {name: layer_candidates(shape.layers[name], (1,)) for name in free}
        return {name: found[name] for name in shape.layers}

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        excluded = problem.shape.named_by(options["exclude"], "exclude")
        full = {n: problem.shape.layers[n].max_rank(1) for n in problem.candidates if n not in excluded}
        bent = set(list(full)[: len(full) // 2])

        def cuts(share: Fraction) -> dict[str, Cut]:
            return {
                name: Cut(max(1, int(float(share) ** (options["bend"] if name in bent else 1) * most)), 1)
                for name, most in full.items()
            }

        return cuts_at_largest_share(problem, [Fraction(n, 1000) for n in range(1, 1001)], cuts)


class LeastSum(RankMethod):
    """The least sum of the layers' errors, over all ranks and numbers of subspaces."""

    title = "Least sum"
    paper = "nowhere"
    options = (CANDIDATE_SUBSPACES, *WHAT_LAYERS_MAY_BECOME)

    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        return every_cut(shape, options)

    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        layers = {name: self.errors_of(problem, name, options) for name in problem.candidates}
        return best_options(problem, layers, knapsack, lambda name, errors: errors)


class FourthPower(ScoreMethod):
    """score(w) = w^4."""

    title = "Fourth power"
    paper = "nowhere"

    def scores(
        self,
        network: nn.Module,
        weights: Mapping[str, nn.Parameter],
        alive: Mapping[str, Tensor],
        scoring_inputs: ScoringInputs,
        options: Mapping[str, Any],
    ) -> Scores:
        return {name: weight.detach() ** 4 for name, weight in weights.items()}


class LastChannels(ChannelMethod):
    """The last channels of every group stay."""

    title = "Last channels"
    paper = "nowhere"

    def scores(
        self,
        network: nn.Module,
        groups: Mapping[str, ChannelGroup],
        scoring_inputs: ChannelInputs,
        options: Mapping[str, Any],
    ) -> dict[str, Tensor]:
        return {name: torch.arange(float(group.channels)) for name, group in groups.items()}


def function() -> None: ...


instance = FourthPower()


class NoMethod:
    pass


class OfNoKind(Method):
    title, paper, kind, options = "Of no kind", "nowhere", "mask", ()


class Abstract(RankMethod):
    title, paper, options = "Abstract", "nowhere", ()


class Raising(FourthPower):
    def __init__(self) -> None:
        raise RuntimeError("no licence\nfound")


class Demanding(FourthPower):
    def __init__(self, path: str) -> None:
        self.path = path


class Untitled(FourthPower):
    title = ""


class NeedsText(FourthPower):
    needs = "data"  # type: ignore[assignment]


class NeedsMore(FourthPower):
    needs = ("data", "money")


class NoTuple(FourthPower):
    options = {"power": 4.0}  # type: ignore[assignment] # noqa: RUF012


class NoOption(FourthPower):
    options = ("power",)  # type: ignore[assignment]


class Twice(FourthPower):
    options = (Option("rounds", 2, "rounds of its own", Number()),)


class WrongDefault(FourthPower):
    options = (Option("norm", "l3", "norm", Choice(("l1", "l2"))),)


class LeavesOut(FirstLayersLess):
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        return {}


class Impossible(FirstLayersLess):
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        return dict.fromkeys(problem.candidates, Cut(1, 5))


class OverBudget(FirstLayersLess):
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        return dict.fromkeys(problem.candidates, DENSE)


class Broken(FirstLayersLess):
    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        raise KeyError("no such thing")
