"""What a method that chooses ranks has to do."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor

from pruners.calibration.calibration import Calibration
from pruners.errors import PrunerError
from pruners.lowrank.factors.factoring import Factoring, Truncation
from pruners.lowrank.fitting.factor_tensors import unfitted_tensors
from pruners.lowrank.fitting.options import REFIT_OPTIONS, FitOptions, fit_options
from pruners.lowrank.layers.budget import NANOSECONDS, Budget
from pruners.lowrank.layers.candidates import Candidates, check_not_empty, dense_candidate, folded_candidates
from pruners.lowrank.layers.cut import CLUSTERINGS, DENSE, ENCODE, FOLDINGS, FORMS, Cut
from pruners.lowrank.layers.folding import BEST
from pruners.lowrank.layers.pricing import cost_of
from pruners.lowrank.layers.shapes import NetworkShape
from pruners.lowrank.spectra.frontier import Frontier
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.method import Method, Option
from pruners.option_values import LAYERS, Choice, Whole

EXCLUDE = Option(
    "exclude",
    (),
    "names of layers that stay dense, or patterns (layer1.*); their weights still count",
    LAYERS,
)

RANK_MULTIPLE = Option(
    "rank_multiple",
    1,
    "ranks are multiples of this, 8 for example, in every layer large enough; one set in layers "
    "stays as it is",
    Whole(1, 2**31),
)


FOLDING = Option(
    "folding",
    ENCODE,
    "the matrix that a kernel is decomposed as: encode, f x (c k1 k2); decode, (f k1 k2) x c; split1, (f k1) "
    "x (c k2); split2, (f k2) x (c k1); or best, of these the one with the least error at its cost, layer by "
    "layer; all but encode go without a refit",
    Choice((*FOLDINGS, BEST)),
)


CONSECUTIVE = "none"
CLUSTERING = Option(
    "clustering",
    CONSECUTIVE,
    "what the slices of input channels are: none, consecutive channels; kmeans, clusters of like channels; "
    "or projective, of channels near to a common subspace, from starts by the seed; layers with groups, and "
    "cuts into more than 128, keep consecutive ones; clusters cost the time to re-order the layer's inputs "
    "and go without a refit",
    Choice((CONSECUTIVE, *CLUSTERINGS)),
)


@dataclass(frozen=True)
class AllocationProblem:
    """What a method is given.

    The kept spectra, the shapes with their costs, each layer's options, the budget, and calibration images
    where there are some. ``seed`` is for what is drawn: labels, and clusters to start with.
    """

    spectra: Spectra
    shape: NetworkShape
    candidates: Mapping[str, Candidates]
    budget: Budget
    calibration: Calibration | None = None
    seed: int = 0

    def cost(self, choice: Mapping[str, Cut]) -> int:
        """Return what a choice for every layer costs together, in the budget's unit."""
        unit = self.budget.unit
        return self.shape.fixed_cost(unit) + sum(
            self._timed(name, cut) if unit == NANOSECONDS else cost_of(self.shape, name, cut, unit)
            for name, cut in choice.items()
        )

    def _timed(self, layer: str, cut: Cut) -> int:
        options = self.candidates[layer]
        chosen = (
            (options.ranks == cut.rank)
            & (options.subspaces == cut.num_subspaces)
            & (options.forms == FORMS.index(cut.form))
        )
        return int(options.params[chosen][0])

    def check(self, choice: Mapping[str, Cut]) -> None:
        """Raise PrunerError for a layer that is left out, or one that cannot be cut so."""
        for name, layer in self.shape.layers.items():
            if name not in choice:
                raise PrunerError(f"Layer {name!r} was given no Cut; one that stays as it is has DENSE.")
            cut = choice[name]
            if cut != DENSE and (cut.rank < 1 or cut.num_subspaces not in layer.candidate_subspaces):
                raise PrunerError(f"Layer {name!r} was given {cut}, which it cannot become.")


class LayerErrors(Protocol):
    """What is known about the errors of one layer's options."""

    def frontier(self, candidates: Candidates) -> Frontier:
        """Return the candidates that are worth looking at, with errors or lower bounds of them."""
        ...

    def resolve(self, cut: Cut) -> None:
        """Make the error of one option exact."""
        ...

    def error(self, cut: Cut) -> float:
        """Return the exact error of one option."""
        ...


class RankMethod(Method):
    """A way to choose rank and num_subspaces of every layer within a budget.

    Its artifact is a `Decomposition`.
    """

    kind: ClassVar[Literal["decomposition", "mask", "channels"]] = "decomposition"
    factors_from_data: ClassVar[bool] = False
    """Whether its factors without a refit are those of `own_tensors`, not of `factoring`."""
    refits: ClassVar[bool] = True
    """Whether its factors can be fitted to calibration images."""
    timed: ClassVar[bool] = True
    """Whether what its layers become is timed, for a budget in time."""

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Return the method's own options, and those that say how its factors are fitted to data."""
        if not self.refits:
            return self.options
        own = {option.name for option in self.options}
        return *self.options, *(option for option in REFIT_OPTIONS if option.name not in own)

    def wants_data(self, given: Mapping[str, Any]) -> bool:
        """Tell whether calibration images would be used: to refit the factors."""
        return self.refits and given.get("refit") != "none" and _why_unfitted(given) is None

    def fitting(self, options: Mapping[str, Any], has_data: bool) -> FitOptions:
        """Read what the options say of fitting the factors to calibration images.

        Raises PrunerError where they ask for a fit and there are no such images.
        """
        if not self.refits:
            return FitOptions("none", 0.0, "weight")
        unfitted = _why_unfitted(options)
        if unfitted and options["refit"] not in (None, "none"):
            raise PrunerError(f"refit {options['refit']!r} {unfitted}.")
        return fit_options(options, self.with_defaults({})["encoders"], has_data and unfitted is None)

    def metric(self, options: Mapping[str, Any]) -> str:
        """Return the metric that the layer errors of the result are told in."""
        return str(options.get("metric", "max"))

    def errors_of(self, problem: AllocationProblem, layer: str, options: Mapping[str, Any]) -> LayerErrors:
        """Return what is known about a layer's errors by `metric`."""
        if problem.candidates[layer].forms.any():
            return problem.spectra.arrangement_search(layer, self.metric(options), problem.seed)
        return problem.spectra.search(layer, self.metric(options))

    def own_tensors(
        self, spectra: Spectra, cuts: Mapping[str, Cut], calibration: Calibration
    ) -> Mapping[str, Tensor]:
        """Return what decomposed layers hold without a refit, where calibration images tell it.

        By their names in the small network, other tensors that the method changes among them.
        """
        return unfitted_tensors(spectra, cuts)

    def error_of(self, problem: AllocationProblem, layer: str, cut: Cut, options: Mapping[str, Any]) -> float:
        """Return the error, by `metric`, of a layer as one cut."""
        return self.errors_of(problem, layer, options).error(cut)

    def factoring(self, options: Mapping[str, Any], seed: int) -> Factoring:
        """Return how the weights of a decomposed layer are found from its own."""
        return Truncation(seed)

    @abstractmethod
    def candidates(self, shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
        """Return every layer's options, from shapes alone; checks the method's options."""

    @abstractmethod
    def choose(self, problem: AllocationProblem, options: Mapping[str, Any]) -> dict[str, Cut]:
        """Choose what every layer becomes, or `DENSE`.

        The cheapest candidates together are within the budget.
        """


def _why_unfitted(options: Mapping[str, Any]) -> str | None:
    """Say what a refit does that factors by these options cannot have; None where they can."""
    folding, clustering = options.get("folding", ENCODE), options.get("clustering", CONSECUTIVE)
    if folding != ENCODE:
        return (
            "fits the 1 x 1 layer that folding 'encode' has behind the kernel; "
            f"folding {folding!r} goes without"
        )
    if clustering != CONSECUTIVE:
        return (
            "takes the moments of a layer's inputs in their own order, slice by slice; "
            f"clustering {clustering!r} goes without"
        )
    return None


def excluding(shape: NetworkShape, exclude: Sequence[str]) -> tuple[dict[str, Candidates], list[str]]:
    """Return the single option of each excluded layer, and the names of the others; checks ``exclude``."""
    excluded = shape.named_by(exclude, "exclude")
    free = [name for name in shape.layers if name not in excluded]
    check_not_empty(shape, free)
    return {name: dense_candidate(shape.layers[name]) for name in excluded}, free


def in_one_subspace(shape: NetworkShape, options: Mapping[str, Any]) -> dict[str, Candidates]:
    """Return dense and every rank of the whole matrix that saves something; checks ``exclude``.

    The options `EXCLUDE`, `RANK_MULTIPLE` and `FOLDING` say of which layers, which ranks and which matrix.
    """
    options_of, free = excluding(shape, options["exclude"])
    options_of |= {
        name: folded_candidates(
            shape.layers[name], options["folding"], (1,), rank_multiple=options["rank_multiple"]
        )
        for name in free
    }
    return {name: options_of[name] for name in shape.layers}
