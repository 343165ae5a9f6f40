"""Tensor decompositions of a convolution's kernel, through tensorly."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import tensorly
import torch
from torch import Tensor

from pruners.errors import PrunerError
from pruners.lowrank.factors.factoring import Factoring, Truncation
from pruners.lowrank.layers.cut import FOLDINGS, Cut
from pruners.lowrank.layers.decomposed_layer import multiplied_out
from pruners.lowrank.layers.steps import steps_of
from pruners.lowrank.spectra.gram import gram
from pruners.lowrank.spectra.layer_spectra import LayerSpectra
from pruners.lowrank.spectra.metrics import ERROR_METRICS


@dataclass(frozen=True)
class TensorFactoring(Factoring):
    """A way that decomposes each group's kernel as a tensor, and truncates what has no kernel.

    The weights of a layer are kept until it is asked for others. Equal ones give equal weights.
    """

    @abstractmethod
    def kernel_weights(self, kernel: Tensor, cut: Cut) -> tuple[Tensor, ...]:
        """Return the weights for one group's kernel, filters x channels x height x width, not all of it 0."""

    def weights(self, layer: LayerSpectra, cut: Cut) -> tuple[Tensor, ...]:
        """Return the weights: groups lie side by side in them."""
        if cut.form in FOLDINGS:
            return Truncation().weights(layer, cut)
        key, known = _kept.get(layer, (None, ()))
        if key != (self, cut):
            known = self._computed(layer, cut)
            _kept[layer] = (self, cut), known
        return known

    def errors(self, layer: LayerSpectra, cut: Cut) -> dict[str, float]:
        """Return the errors of the kernel that the weights make together, folded as it usually is."""
        if cut.form in FOLDINGS:
            return Truncation().errors(layer, cut)
        steps = steps_of(layer.shape, cut)
        pairs = [(w, s.groups) for w, s in zip(self.weights(layer, cut), steps, strict=True)]
        made = multiplied_out(pairs, layer.shape.groups).reshape(layer.matrix.shape)
        left = layer.matrix - made
        norm = float(torch.linalg.eigvalsh(gram(left))[..., -1].clamp_min(0).max().sqrt())
        relative = dict.fromkeys(ERROR_METRICS, norm / (layer.scale or 1.0))  # one slice is the whole
        return relative | {"frobenius": float(torch.linalg.vector_norm(left)) / (layer.norm or 1.0)}

    def _computed(self, layer: LayerSpectra, cut: Cut) -> tuple[Tensor, ...]:
        steps = steps_of(layer.shape, cut)
        kernels = layer.matrix.unflatten(-1, (-1, *layer.shape.kernel))
        parts = []
        for kernel in kernels:
            if kernel.any():
                with _torch_backend(), kernel.device:
                    parts.append(self.kernel_weights(kernel, cut))
            else:
                shapes = ((s.out_channels // len(kernels), *s.weight_shape[1:]) for s in steps)
                parts.append(tuple(kernel.new_zeros(shape) for shape in shapes))
        weights = tuple(torch.cat(of_step).contiguous() for of_step in zip(*parts, strict=True))
        if not all(bool(torch.isfinite(weight).all()) for weight in weights):
            raise PrunerError(f"Layer {layer.name!r}: its {cut.form} decomposition did not converge.")
        return weights


@contextmanager
def _torch_backend() -> Iterator[None]:
    """Let tensorly compute with torch in this thread, and nobody notice; its advice is not for users."""
    with tensorly.backend_context("pytorch", local_threadsafe=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Trying to compute SVD with n_eigenvecs", UserWarning)
        yield


_kept: WeakKeyDictionary[LayerSpectra, tuple[tuple[TensorFactoring, Cut] | None, tuple[Tensor, ...]]] = (
    WeakKeyDictionary()
)
