"""The artifact of a score method: which weights are kept."""

import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from pruners.artifact import UNPACKED, Artifact
from pruners.calibration.refit import Refit
from pruners.errors import BadArtifact, PrunerError
from pruners.network.copying import copied
from pruners.network.layer_names import named_parameters, unwrapped
from pruners.network.state import restore_state, state_of
from pruners.option_values import shown
from pruners.sparse.packing import packed, packed_state, unpacked, unpacked_state
from pruners.sparse.selection.prunable import PrunableLayer


@dataclass(frozen=True)
class LayerDensity:
    """One layer under a mask: how many of its weights are kept, of how many."""

    params: int
    dense_params: int

    @property
    def density(self) -> float:
        """Return the share kept; 1 for a layer without weights."""
        return self.params / self.dense_params if self.dense_params else 1.0


class Mask(Artifact):
    """Which weights of a network are kept.

    ``masks`` maps parameter names to bool tensors on the CPU, True where the weight stays; ``prunable`` the
    layers' names to what they are. ``options`` records every choice of the method, defaults written out, and
    the controls applied since. ``state`` holds all parameters and buffers of a captured network; so it does
    of one whose kept weights were fitted to data, and ``refit`` tells what came of that.
    """

    kind: ClassVar[Literal["decomposition", "mask", "channels"]] = "mask"

    def __init__(
        self,
        method: str,
        options: Mapping[str, Any],
        prunable: Mapping[str, PrunableLayer],
        masks: Mapping[str, Tensor],
        *,
        state: Mapping[str, Tensor] | None = None,
        source: nn.Module | None = None,
        refit: Refit | None = None,
    ) -> None:
        self._method = method
        self.options = dict(options)
        self.prunable = dict(prunable)
        # in the network's order, whatever that of a file: what is drawn layer by layer depends on it
        self.masks = {layer.parameter: masks[layer.parameter] for layer in prunable.values()}
        self.complete = state is not None
        self.refit = refit
        self._state = state or {}
        self._source = weakref.ref(source) if source is not None else None

    @property
    def method(self) -> str:
        """Return the name of the method that chose."""
        return self._method

    @property
    def params(self) -> int:
        """Count the prunable weights that are kept."""
        return sum(int(mask.count_nonzero()) for mask in self.masks.values())

    @property
    def density(self) -> float:
        """Return the share of the prunable weights that is kept."""
        total = sum(mask.numel() for mask in self.masks.values())
        return self.params / total if total else 1.0

    @property
    def layers(self) -> dict[str, LayerDensity]:
        """Count how much of every prunable layer is kept."""
        return {
            n: LayerDensity(int(self.masks[p.parameter].count_nonzero()), p.params)
            for n, p in self.prunable.items()
        }

    @property
    def empty_layers(self) -> list[str]:
        """List the names of the layers that lost every weight."""
        return [name for name, layer in self.layers.items() if layer.dense_params and not layer.params]

    @property
    def source(self) -> nn.Module | None:
        """Return the network that was compressed, while it lives."""
        return self._source() if self._source else None

    def with_masks(self, masks: Mapping[str, Tensor], **recorded: Any) -> "Mask":
        """Return the artifact with other masks, and without a captured or refitted state.

        ``recorded`` is added to its options.
        """
        return Mask(self.method, self.options | recorded, self.prunable, masks, source=self.source)

    def apply(self, model: nn.Module) -> nn.Module:
        """Copy the network, with zeros for removed weights, and the captured state where there is one."""
        small = copied(unwrapped(model))
        if self.complete:
            restore_state(small, self._state)
        self.apply_(small)
        return small

    def apply_(self, model: nn.Module) -> None:
        """Set removed weights of ``model`` to zero, in place; BadArtifact where its parameters are others."""
        with torch.no_grad():
            for name, weight in self.weights_of(model).items():
                # not a product: a weight that is infinite or NaN would stay so
                weight.masked_fill_(~self.masks[name].to(weight.device), 0)

    def weights_of(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Return the parameters of ``model`` that have a mask.

        BadArtifact where one is missing or of another shape.
        """
        # a weight shared with an embedding, say, has more than one name
        parameters = named_parameters(model)
        for name, mask in self.masks.items():
            if name not in parameters or parameters[name].shape != mask.shape:
                raise BadArtifact(
                    f"The mask does not fit: the network has no parameter {name!r} of shape "
                    f"{tuple(mask.shape)}."
                )
        return {name: parameters[name] for name in self.masks}

    def capture(self, small: nn.Module, refit: Refit | None = None) -> "Mask":
        """Return the mask with all parameters and buffers of ``small``, a network that it was applied to.

        ``refit`` tells how its weights were fitted, where they were; else what was told of the mask stays.
        BadArtifact where the network has other weights than the mask.
        """
        self.weights_of(small)
        return Mask(
            self.method,
            self.options,
            self.prunable,
            self.masks,
            state=state_of(small),
            source=self.source,
            refit=refit or self.refit,
        )

    def project_back(self, small: nn.Module) -> nn.Module:
        """Return a copy of ``small``, a network that the mask was applied to: its shape is the dense one's.

        BadArtifact where the network has other weights than the mask.
        """
        self.weights_of(small)
        return copied(unwrapped(small))

    def described(self) -> dict[str, Any]:
        """Describe the mask for its spec.json: method, options, and how much is kept of each layer."""
        described = {
            "complete": self.complete,
            "method": self.method,
            "options": self.options,
            "density": self.density,
            "params": self.params,
            "layers": {name: asdict(layer) for name, layer in self.layers.items()},
            "prunable": {name: asdict(layer) for name, layer in self.prunable.items()},
        }
        return described if self.refit is None else described | {"refit": asdict(self.refit)}

    def files(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Return the tensors to save: the captured state as "model", and the masks, both packed.

        Values in removed places are not among them: `apply` puts zeros there, whatever they are.
        """
        state = packed_state(self._state, self.masks) if self.complete else {}
        return {"model": state, "masks": packed(self.masks)}

    @classmethod
    def restored(cls, described: Mapping[str, Any], files: Mapping[str, Mapping[str, Tensor]]) -> Self:
        """Rebuild a mask from its description and its tensors; TypeError where these do not agree."""
        prunable = {
            name: PrunableLayer(**(layer | {"shape": tuple(layer["shape"])}))
            for name, layer in described["prunable"].items()
        }
        shapes = {layer.parameter: layer.shape for layer in prunable.values()}
        masks, state = files["masks"], files["model"] if described["complete"] else None
        if described["format"] != UNPACKED:
            masks = unpacked(masks, shapes)
            state = None if state is None else unpacked_state(state, masks)
        if {n: (shape, torch.bool) for n, shape in shapes.items()} != {
            n: (tuple(mask.shape), mask.dtype) for n, mask in masks.items()
        }:
            raise TypeError("the masks are not those of its layers")
        refit = Refit(**described["refit"]) if "refit" in described else None
        mask = cls(described["method"], {**described["options"]}, prunable, masks, state=state, refit=refit)
        if {name: asdict(layer) for name, layer in mask.layers.items()} != described["layers"]:
            raise TypeError("the masks are not those of its layers")
        return mask


def checked_mask(mask: Any) -> Mask:
    """Return the mask that an argument is; PrunerError for anything else."""
    if isinstance(mask, Mask):
        return mask
    raise PrunerError(f"mask takes a Mask, not {shown(mask)}.")
