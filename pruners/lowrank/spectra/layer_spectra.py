"""Singular values of one layer's slices."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pruners.errors import PrunerError
from pruners.lowrank.clustering.channels import clustered_order
from pruners.lowrank.layers.cut import CLUSTERINGS, ENCODE
from pruners.lowrank.layers.folding import folded_shape, folded_weight
from pruners.lowrank.layers.shapes import LayerShape
from pruners.lowrank.spectra.gram import gram, grams, slices_of
from pruners.network.readiness import check_computable

_WELL_CONDITIONED = 1e-5
"""Below this share of a slice's largest singular value the square root of a Gram matrix's eigenvalue is no
longer good to 1e-9.
"""


class LayerSpectra:
    """Singular values of one layer's slices, in float64 on the CPU.

    They are square roots of the Gram matrices' eigenvalues. An eigenvalue carries an absolute error of a few
    times eps * s_1^2, so a singular value s is good to about eps * s_1^2 / s: 1e-10 s_1 at s = 1e-5 s_1.
    Slices with smaller ones among the ranks that save anything get a true SVD instead; all errors then agree
    with it to 1e-9 s_1.

    The input channels are taken in ``order`` where there is one; ``weight`` is as it was.
    """

    def __init__(self, name: str, weight: Tensor, shape: LayerShape, order: Tensor | None = None) -> None:
        self.name = name
        self.shape = shape
        self.weight = weight
        self.order = order
        self._values: dict[int, NDArray[np.float64]] = {}
        self._samples: dict[int, NDArray[np.float64]] = {}
        self.residual_norms: dict[tuple[int, int], float] = {}
        """Spectral norms of residuals computed so far, by rank and num_subspaces."""
        self._folded: dict[str, LayerSpectra] = {}
        self._clustered: dict[tuple[str, int, int], LayerSpectra] = {}

    def arranged(self, form: str, num_subspaces: int, seed: int) -> "LayerSpectra":
        """Return the spectra of the same weight as a form has its slices.

        Those of another folding, or with its input channels in the order of clusters from starts by ``seed``;
        where that changes nothing, these.
        """
        if form not in CLUSTERINGS:
            return self.folded(form)
        key = form, num_subspaces, seed
        if key not in self._clustered:
            order = clustered_order(self.matrix[0], self.shape, form, num_subspaces, seed)
            self._clustered[key] = self if order is None else self._in_order(order)
        return self._clustered[key]

    def _in_order(self, order: Tensor) -> "LayerSpectra":
        other = LayerSpectra(self.name, self.weight, self.shape, order)
        other._values[1] = self.singular_values(1)  # of the whole, whose columns' order does not matter
        return other

    def folded(self, form: str) -> "LayerSpectra":
        """Return the spectra of the same weight in another folding; the usual one's are these."""
        if form == ENCODE or self.shape.kernel == (1, 1):
            return self
        if form not in self._folded:
            shape, weight = folded_shape(self.shape, form), folded_weight(self.weight, form)
            self._folded[form] = LayerSpectra(self.name, weight, shape)
        return self._folded[form]

    @property
    def matrix(self) -> Tensor:
        """Return the folded weight, groups x rows x columns, in float64.

        Raises PrunerError where it is not finite, or no floating-point numbers.
        """
        self.check()
        weight = self.weight.to("cpu", torch.float64)
        if self.order is not None:
            weight = weight[:, self.order]
        return weight.reshape(self.shape.groups, *self.shape.matrix)

    def check(self) -> None:
        """Raise PrunerError where the weight is not finite, or no floating-point numbers."""
        check_computable(f"{self.name}.weight" if self.name else "weight", self.weight)
        if not self._finite:
            raise PrunerError(f"Layer {self.name!r} has weights that are not finite.")

    @cached_property
    def _finite(self) -> bool:
        return bool(torch.isfinite(self.weight).all())

    @cached_property
    def scale(self) -> float:
        """Return the spectral norm s_1 of the whole weight."""
        return float(self.singular_values(1).max())

    @cached_property
    def norm(self) -> float:
        """Return the Frobenius norm of the whole weight."""
        return float(torch.linalg.vector_norm(self.matrix))

    def singular_values(self, num_subspaces: int) -> NDArray[np.float64]:
        """Return all singular values, descending: groups x num_subspaces x (smaller side of a slice)."""
        if num_subspaces not in self._values:
            slices = slices_of(self.matrix, num_subspaces)
            self._values[num_subspaces] = self._decompose(slices, gram(slices), num_subspaces)
        return self._values[num_subspaces]

    def least_singular_values(self, num_subspaces: int) -> NDArray[np.float64]:
        """Return `singular_values` as far as they are known: 0 for slices that nobody has looked at yet."""
        return self._values[num_subspaces] if num_subspaces in self._values else self._samples[num_subspaces]

    def knows(self, num_subspaces: int) -> bool:
        """Tell whether all slices' singular values are there."""
        return num_subspaces in self._values

    def survey(self, subspaces: Iterable[int]) -> None:
        """Compute spectra of many cuts at once, all slices where that is cheap.

        Otherwise only the slice with the largest norm. Cheap means no dearer than the whole matrix's own
        spectrum. A dear cut that loses everywhere even with one slice known never needs the others.
        """
        missing = [n for n in {1, *subspaces} if n not in self._values and n not in self._samples]
        if not missing:
            return
        matrix = self.matrix
        whole = self.shape.max_rank(1) ** 3
        for number, products in grams(matrix, self.shape, missing):
            slices = slices_of(matrix, number)
            if number == 1 or number * self.shape.max_rank(number) ** 3 <= whole:
                self._values[number] = self._decompose(slices, products, number)
            else:
                self._samples[number] = self._sample(slices, products, number)

    def _sample(self, slices: Tensor, products: Tensor, num_subspaces: int) -> NDArray[np.float64]:
        energy = products.diagonal(dim1=-2, dim2=-1).sum(-1)
        values = np.zeros((*products.shape[:2], products.shape[-1]))
        group, number = divmod(int(energy.argmax()), num_subspaces)
        chosen = (slice(group, group + 1), slice(number, number + 1))
        values[chosen] = self._decompose(slices[chosen], products[chosen], num_subspaces)
        return values

    def _decompose(self, slices: Tensor, products: Tensor, num_subspaces: int) -> NDArray[np.float64]:
        values = torch.linalg.eigvalsh(products).clamp_min(0).sqrt().flip(-1)
        needed = min(self.shape.largest_saving_rank(num_subspaces), values.shape[-1] - 1)
        doubtful = values[..., needed] < _WELL_CONDITIONED * values[..., 0]
        if bool(doubtful.any()):
            values[doubtful] = torch.linalg.svdvals(slices[doubtful])
        return values.numpy()
