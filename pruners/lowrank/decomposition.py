"""The artifact of a rank method: what was chosen, and the small network's weights."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn

from pruners.artifact import Artifact
from pruners.calibration.refit import Fitted, Refit
from pruners.errors import BadArtifact
from pruners.lowrank.decompose import decomposed_copy, order_name, weight_names
from pruners.lowrank.factors.factoring import Factoring
from pruners.lowrank.layers.shapes import LayerShape
from pruners.lowrank.plan import LayerChoice, Plan
from pruners.lowrank.recompose import recomposed_copy
from pruners.lowrank.spectra.metrics import ERROR_METRICS
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.network.state import state_of


class Decomposition(Artifact):
    """Some layers of a network as two or more each; the others stay dense.

    ``plan`` tells the choice, ``shapes`` the dense shapes of the decomposed layers. ``tensors`` holds the
    weights by their names in the small network; with ``complete`` all of its parameters and buffers,
    otherwise those of the decomposed layers, and what a refit has changed besides. ``layer_errors`` maps each
    decomposed layer to its error by each metric, that of its truncation before a refit. ``refit`` tells
    what fitting the factors to data came to, None where they are the weights' own.
    """

    kind: ClassVar[Literal["decomposition", "mask", "channels"]] = "decomposition"

    def __init__(
        self,
        plan: Plan,
        shapes: Mapping[str, LayerShape],
        tensors: Mapping[str, Tensor],
        layer_errors: Mapping[str, Mapping[str, float]],
        complete: bool,
        refit: Refit | None = None,
    ) -> None:
        self.plan = plan
        self.shapes = shapes
        self.complete = complete
        self._tensors = tensors
        self._layer_errors = layer_errors
        self.refit = refit

    @property
    def method(self) -> str:
        """Return the name of the method that chose."""
        return self.plan.method

    @property
    def metric(self) -> str:
        """Return the metric of `error` and of each layer's error."""
        return self.plan.metric

    @property
    def layers(self) -> dict[str, LayerChoice]:
        """Return the rank, num_subspaces, error and params of every decomposed layer."""
        return self.plan.layers

    @property
    def params(self) -> int:
        """Count all compressible weights as they become."""
        return self.plan.params

    @property
    def budget(self) -> int:
        """Return the most that the compressible weights could cost, in ``plan.unit``."""
        return self.plan.budget

    @property
    def error(self) -> float:
        """Return the largest layer error."""
        return self.plan.error

    @property
    def reordered(self) -> tuple[str, ...]:
        """Return the layers that take their input channels in another order, which costs time alone."""
        return tuple(name for name in self.layers if order_name(name) in self.tensors)

    @property
    def layer_errors(self) -> Mapping[str, Mapping[str, float]]:
        """Return each decomposed layer's error by each of the five metrics."""
        return self._layer_errors

    @property
    def errors(self) -> dict[str, float]:
        """Return the largest layer error by each of the five metrics."""
        return {
            metric: max((errors[metric] for errors in self.layer_errors.values()), default=0.0)
            for metric in ERROR_METRICS
        }

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Return the weights by their names in the small network."""
        return self._tensors

    @property
    def source(self) -> nn.Module | None:
        """Return the network that was compressed, while it lives; a loaded artifact has none."""
        return None

    def apply(self, model: nn.Module) -> nn.Module:
        """Return a compressed copy of ``model``, which must have the compressed network's layers.

        ``model`` itself is not changed. A complete artifact gives the captured network whatever the model's
        own weights are.
        """
        cuts = {name: choice.cut for name, choice in self.layers.items()}
        return decomposed_copy(model, cuts, self.shapes, self.tensors, self.complete)

    def capture(self, small: nn.Module) -> "Decomposition":
        """Return this decomposition with all parameters and buffers of ``small``.

        ``small`` is a (perhaps retrained) network that `apply` gave. BadArtifact where its layers are not
        decomposed.
        """
        state = state_of(small)
        for name, choice in self.layers.items():
            for tensor_name in weight_names(name, choice.form):
                if tensor_name not in state:
                    raise BadArtifact(
                        f"This network does not come from the artifact: its layer {name!r} is not decomposed."
                    )
        return Decomposition(
            self.plan, self.shapes, state, self.layer_errors, complete=True, refit=self.refit
        )

    def project_back(self, small: nn.Module) -> nn.Module:
        """Return a dense network that computes what ``small`` does: the factors are multiplied out.

        ``small`` is a (perhaps retrained) network that `apply` gave; it is not changed. Each decomposed layer
        is a plain Conv2d or Linear again. BadArtifact where one is not decomposed.
        """
        return recomposed_copy(small, self.shapes)

    def described(self) -> dict[str, Any]:
        """Describe the plan, the errors and the dense shapes as JSON-able data."""
        described = {
            "complete": self.complete,
            "plan": asdict(self.plan)
            | {"layers": {name: choice.described() for name, choice in self.layers.items()}},
            "errors": self.errors,
            "layer_errors": self.layer_errors,
            "shapes": {name: asdict(shape) for name, shape in self.shapes.items()},
        }
        return described if self.refit is None else described | {"refit": asdict(self.refit)}

    def files(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Return the tensors under the one file that holds them, ``model``."""
        return {"model": self.tensors}

    @classmethod
    def restored(cls, described: Mapping[str, Any], files: Mapping[str, Mapping[str, Tensor]]) -> Self:
        """Restore the decomposition that `described` and `files` told of."""
        layers = {name: LayerChoice(**choice) for name, choice in described["plan"]["layers"].items()}
        shapes = {
            name: LayerShape(**(shape | {"kernel": tuple(shape["kernel"])}))
            for name, shape in described["shapes"].items()
        }
        if shapes.keys() != layers.keys():
            raise TypeError("the shapes are not those of its layers")
        plan = Plan(**(described["plan"] | {"layers": layers}))
        refit = Refit(**described["refit"]) if "refit" in described else None
        return cls(plan, shapes, files["model"], described["layer_errors"], described["complete"], refit)


class LiveDecomposition(Decomposition):
    """A decomposition whose errors come from kept spectra when asked for, and its weights unless given.

    ``fitted`` are those of a refit, ``own`` those that a method has made of data; else ``factoring`` makes
    them.
    """

    def __init__(
        self,
        plan: Plan,
        spectra: Spectra,
        factoring: Factoring,
        fitted: Fitted | None = None,
        own: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._spectra = spectra
        self._factoring = factoring
        self._made = fitted.tensors if fitted else own
        shapes = {name: spectra.shape.layers[name] for name in plan.layers}
        super().__init__(plan, shapes, {}, {}, complete=False, refit=fitted.refit if fitted else None)

    @cached_property
    def layer_errors(self) -> Mapping[str, Mapping[str, float]]:
        """Return each decomposed layer's error by each of the five metrics."""
        return {n: self._factoring.errors(self._spectra.layers[n], c.cut) for n, c in self.layers.items()}

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """Return the weights of the decomposed layers, in the layers' own dtype, on the CPU."""
        if self._made is not None:
            return self._made
        tensors: dict[str, Tensor] = {}
        for name, choice in self.layers.items():
            tensors |= self._factoring.tensors(self._spectra.layers[name], choice.cut)
        return tensors

    @property
    def source(self) -> nn.Module | None:
        """Return the network that was compressed, while it lives."""
        return self._spectra.model()
