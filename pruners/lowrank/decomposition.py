"""The artifact of a rank method: what was chosen, and the small network's weights."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn

from pruners.artifact import Artifact
from pruners.errors import BadArtifact
from pruners.lowrank.decompose import replace_layers, weights_from_factors
from pruners.lowrank.layers.shapes import LayerShape, compressible_modules
from pruners.lowrank.plan import LayerChoice, Plan
from pruners.lowrank.spectra.layer_error import layer_errors
from pruners.lowrank.spectra.metrics import ERROR_METRICS
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.lowrank.spectra.residual import slice_factors
from pruners.network.copying import copied
from pruners.network.layer_names import unwrapped
from pruners.network.state import restore_state, state_of


class Decomposition(Artifact):
    """Some layers of a network as two each; the others stay dense.

    ``plan`` tells the choice, ``shapes`` the dense shapes of the decomposed layers. ``tensors`` holds the
    weights by their names in the small network; with ``complete`` all of its parameters and buffers,
    otherwise those of the decomposed layers alone. ``layer_errors`` maps each decomposed layer to its error
    by each metric.
    """

    kind: ClassVar[Literal["decomposition", "mask"]] = "decomposition"

    def __init__(
        self,
        plan: Plan,
        shapes: Mapping[str, LayerShape],
        tensors: Mapping[str, Tensor],
        layer_errors: Mapping[str, Mapping[str, float]],
        complete: bool,
    ) -> None:
        self.plan = plan
        self.shapes = shapes
        self.complete = complete
        self._tensors = tensors
        self._layer_errors = layer_errors

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
        weights = {n: (*self._pair(n), c.num_subspaces) for n, c in self.layers.items()}
        small = replace_layers(copied(unwrapped(model)), weights, self.shapes)
        if self.complete:
            restore_state(small, self.tensors)
        return small

    def capture(self, small: nn.Module) -> "Decomposition":
        """Return this decomposition with all parameters and buffers of ``small``.

        ``small`` is a (perhaps retrained) network that `apply` gave. BadArtifact where its layers are not
        decomposed.
        """
        state = state_of(small)
        for name in self.layers:
            for tensor_name in pair_names(name):
                if tensor_name not in state:
                    raise BadArtifact(
                        f"This network does not come from the artifact: its layer {name!r} is not decomposed."
                    )
        return Decomposition(self.plan, self.shapes, state, self.layer_errors, complete=True)

    def described(self) -> dict[str, Any]:
        """Describe the plan, the errors and the dense shapes as JSON-able data."""
        return {
            "complete": self.complete,
            "plan": asdict(self.plan),
            "errors": self.errors,
            "layer_errors": self.layer_errors,
            "shapes": {name: asdict(shape) for name, shape in self.shapes.items()},
        }

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
        return cls(plan, shapes, files["model"], described["layer_errors"], described["complete"])

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        first, second = pair_names(name)
        try:
            return self.tensors[first], self.tensors[second]
        except KeyError as error:
            raise BadArtifact(f"The artifact is damaged: it has no tensor {error}.") from None


class LiveDecomposition(Decomposition):
    """A decomposition whose weights and errors are computed from kept spectra when somebody asks."""

    def __init__(self, plan: Plan, spectra: Spectra, model: nn.Module) -> None:
        self._spectra = spectra
        modules = compressible_modules(model)
        self._linear = {name: isinstance(modules[name], nn.Linear) for name in plan.layers}
        super().__init__(
            plan, {name: spectra.shape.layers[name] for name in plan.layers}, {}, {}, complete=False
        )

    @cached_property
    def layer_errors(self) -> Mapping[str, Mapping[str, float]]:
        """Return each decomposed layer's error by each of the five metrics."""
        return {
            n: layer_errors(self._spectra.layers[n], c.rank, c.num_subspaces) for n, c in self.layers.items()
        }

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """Return the weights of the decomposed layers, in the layers' own dtype, on the CPU."""
        tensors: dict[str, Tensor] = {}
        for name, choice in self.layers.items():
            layer = self._spectra.layers[name]
            left, right = slice_factors(layer, choice.rank, choice.num_subspaces)
            pair = weights_from_factors(layer.shape, self._linear[name], left, right)
            tensors |= {n: t.to(layer.weight.dtype) for n, t in zip(pair_names(name), pair, strict=True)}
        return tensors

    @property
    def source(self) -> nn.Module | None:
        """Return the network that was compressed, while it lives."""
        return self._spectra.model()


def pair_names(layer: str) -> tuple[str, str]:
    """Return the names of a decomposed layer's two weights in the small network's state dict."""
    prefix = f"{layer}." if layer else ""
    return f"{prefix}0.weight", f"{prefix}1.weight"
