"""The spectra of a network, computed once and kept, so that further budgets cost milliseconds."""

import warnings
from weakref import WeakKeyDictionary, ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pruners.errors import PrunerWarning
from pruners.lowrank.layers.shapes import NetworkShape, compressible_modules
from pruners.lowrank.spectra.arrangement_search import ArrangementSearch
from pruners.lowrank.spectra.frontier import LayerSearch
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.network.layer_names import check_module
from pruners.network.readiness import check_has_values


class Spectra:
    """The kept spectra of a network's compressible layers; owns a copy of their weights.

    Warns about layers that stay dense because they share their weight with another module.
    """

    def __init__(self, model: nn.Module) -> None:
        check_has_values(model)
        self.shape = NetworkShape(model)
        self.model = ref(model)
        modules = compressible_modules(model)
        self.layers = {
            n: LayerSpectra(n, modules[n].weight.detach().clone(), s) for n, s in self.shape.layers.items()
        }
        self._searches: dict[tuple[str, str], LayerSearch] = {}
        self._arrangement_searches: dict[tuple[str, str, int], ArrangementSearch] = {}
        for name in self.shape.fixed:
            message = f"Layer {name!r} shares its weight with another module and stays dense."
            warnings.warn(message, PrunerWarning, stacklevel=3)

    def search(self, name: str, metric: str) -> LayerSearch:
        """Return what is known about one layer's options under a metric."""
        return self._searches.setdefault((name, metric), LayerSearch(self.layers[name], metric))

    def arrangement_search(self, name: str, metric: str, seed: int) -> ArrangementSearch:
        """Return what is known about one layer's options in all foldings and clusterings under a metric."""
        key = name, metric, seed
        if key not in self._arrangement_searches:
            self._arrangement_searches[key] = ArrangementSearch(self.layers[name], metric, seed)
        return self._arrangement_searches[key]

    def still_fit(self, model: nn.Module) -> bool:
        """Tell whether the network has these very layers and weights still.

        Notices every change made in place.
        """
        modules = compressible_modules(model)
        if (
            modules.keys() != self.shape.layers.keys() | self.shape.fixed.keys()
            or NetworkShape(model).layers != self.shape.layers
        ):
            return False
        return all(_same(modules[name].weight, layer.weight) for name, layer in self.layers.items())


def spectra_of(model: nn.Module) -> Spectra:
    """Return the network's kept spectra, computed anew where its weights have changed since."""
    check_module(model)
    spectra = _kept.get(model)
    if spectra is None or not spectra.still_fit(model):
        spectra = _kept[model] = Spectra(model)
    return spectra


def spectra_kept(model: nn.Module) -> Spectra | None:
    """Return the spectra that are kept for a network, or None; they go with the network."""
    return _kept.get(model)


def _same(weight: Tensor, kept: Tensor) -> bool:
    if weight.dtype != kept.dtype or weight.device != kept.device or weight.shape != kept.shape:
        return False
    if _in_words(weight) and _in_words(kept):
        # bits compared eight bytes at a time: less than half the time of torch.equal,
        # which every further budget waits for
        return np.array_equal(_words(weight), _words(kept))
    return torch.equal(weight, kept)


def _in_words(tensor: Tensor) -> bool:
    size = tensor.element_size()
    return (
        tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and not (tensor.numel() * size % 8 or tensor.storage_offset() * size % 8)
    )


def _words(tensor: Tensor) -> NDArray[np.int64]:
    words: NDArray[np.int64] = tensor.detach().reshape(-1).view(torch.int64).numpy()
    return words


_kept: WeakKeyDictionary[nn.Module, Spectra] = WeakKeyDictionary()
