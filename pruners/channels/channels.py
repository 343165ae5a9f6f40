"""The artifact of a channel method: which channels are kept."""

import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from pruners.artifact import Artifact
from pruners.channels.cutting import Kept, cut, grown, shape_left
from pruners.errors import BadArtifact
from pruners.network.layer_names import named_buffers, named_parameters, unwrapped
from pruners.network.state import restore_state, state_of


@dataclass(frozen=True)
class LayerChannels:
    """One convolution, Linear or projection: output channels and weights kept, of how many."""

    channels: int
    dense_channels: int
    params: int
    dense_params: int


class Channels(Artifact):
    """Which channels of a network are kept; the others are removed from every layer that has them.

    ``kept`` maps parameters and buffers to the entries that stay along each dimension where some go
    (ascending int64 tensors on the CPU), ``shapes`` these tensors to their dense shapes, ``numbers``
    attributes of modules that lose some of what these count (a convolution's groups, an attention's heads) to
    the dense number and what is left. ``layers`` tells what becomes of each convolution, Linear and
    projection, ``options`` records every choice of the method, defaults written out. ``state`` holds all
    parameters and buffers of a captured network.
    """

    kind: ClassVar[Literal["decomposition", "mask", "channels"]] = "channels"

    def __init__(
        self,
        method: str,
        options: Mapping[str, Any],
        layers: Mapping[str, LayerChannels],
        kept: Kept,
        shapes: Mapping[str, tuple[int, ...]],
        numbers: Mapping[str, tuple[int, int]],
        *,
        state: Mapping[str, Tensor] | None = None,
        source: nn.Module | None = None,
    ) -> None:
        self._method = method
        self.options = dict(options)
        self.layers = dict(layers)
        self.kept = {name: dict(of_tensor) for name, of_tensor in kept.items()}
        self.shapes = dict(shapes)
        self.numbers = dict(numbers)
        self.complete = state is not None
        self._state = state or {}
        self._source = weakref.ref(source) if source is not None else None

    @property
    def method(self) -> str:
        """Return the name of the method that chose."""
        return self._method

    @property
    def params(self) -> int:
        """Count the weights of convolutions and Linears that are left, as `prunable` counts them."""
        return sum(layer.params for layer in self.layers.values())

    @property
    def source(self) -> nn.Module | None:
        """Return the network that was compressed, while it lives."""
        return self._source() if self._source else None

    def apply(self, model: nn.Module) -> nn.Module:
        """Copy the network without the removed channels, with the captured state where there is one.

        Raises BadArtifact for a network of other shapes.
        """
        model = unwrapped(model)
        self._check_shapes(model, self.shapes)
        small = cut(model, self.kept, self.numbers)
        if self.complete:
            restore_state(small, self._state)
        return small

    def project_back(self, small: nn.Module) -> nn.Module:
        """Return a copy of ``small``, a network that `apply` gave, in the dense network's shape.

        It computes the same: removed places hold zeros. Raises BadArtifact for a network of other shapes.
        """
        small = unwrapped(small)
        self._check_shapes(small, self._small_shapes)
        return grown(small, self.kept, self.shapes, self.numbers)

    def capture(self, small: nn.Module) -> "Channels":
        """Return this artifact with all parameters and buffers of ``small``, a network that `apply` gave.

        BadArtifact where the network has other shapes.
        """
        self._check_shapes(small, self._small_shapes)
        return Channels(
            self.method,
            self.options,
            self.layers,
            self.kept,
            self.shapes,
            self.numbers,
            state=state_of(small),
            source=self.source,
        )

    def described(self) -> dict[str, Any]:
        """Describe the artifact for its spec.json: method, options, layers, dense shapes."""
        return {
            "complete": self.complete,
            "method": self.method,
            "options": self.options,
            "params": self.params,
            "layers": {name: asdict(layer) for name, layer in self.layers.items()},
            "shapes": self.shapes,
            "numbers": self.numbers,
        }

    def files(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Return the tensors to save: the captured state as "model", and the entries kept, by dimension."""
        kept = {
            f"{dim}/{name}": index.to(torch.int32)
            for name, of_tensor in self.kept.items()
            for dim, index in of_tensor.items()
        }
        return {"model": self._state, "channels": kept}

    @classmethod
    def restored(cls, described: Mapping[str, Any], files: Mapping[str, Mapping[str, Tensor]]) -> Self:
        """Rebuild the artifact from its description and its tensors; TypeError where these do not agree."""
        kept: dict[str, dict[int, Tensor]] = {}
        for name, index in files["channels"].items():
            dim, _, tensor = name.partition("/")
            kept.setdefault(tensor, {})[int(dim)] = index.long()
        shapes = {name: tuple(shape) for name, shape in described["shapes"].items()}
        if kept.keys() != shapes.keys():
            raise TypeError("the kept channels are not those of its tensors")
        # before attention lost heads, groups of convolutions were all that is told here
        numbers = described.get("numbers") or {
            f"{n}.groups": of for n, of in described.get("groups", {}).items()
        }
        return cls(
            described["method"],
            described["options"],
            {name: LayerChannels(**layer) for name, layer in described["layers"].items()},
            kept,
            shapes,
            {name: (dense, left) for name, (dense, left) in numbers.items()},
            state=files["model"] if described["complete"] else None,
        )

    @property
    def _small_shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: shape_left(shape, self.kept[name]) for name, shape in self.shapes.items()}

    def _check_shapes(self, model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
        tensors = named_parameters(model) | named_buffers(model)
        for name, shape in shapes.items():
            if name not in tensors or tuple(tensors[name].shape) != shape:
                raise BadArtifact(f"The artifact does not fit: the network has no {name!r} of shape {shape}.")
