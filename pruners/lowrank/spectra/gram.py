"""Gram matrices of a layer's slices, sharing products between different numbers of subspaces."""

from collections.abc import Iterable, Iterator

from torch import Tensor

from pruners.lowrank.layers.shapes import LayerShape


def slices_of(matrix: Tensor, num_subspaces: int) -> Tensor:
    """Cut a folded weight into slices of consecutive columns.

    groups x rows x columns becomes groups x num_subspaces x rows x (columns / num_subspaces).
    """
    groups, rows, columns = matrix.shape
    return matrix.reshape(groups, rows, num_subspaces, columns // num_subspaces).transpose(1, 2)


def grams(matrix: Tensor, shape: LayerShape, subspaces: Iterable[int]) -> Iterator[tuple[int, Tensor]]:
    """Yield each num_subspaces with its slices' Gram matrices.

    These are groups x num_subspaces x n x n, n the smaller side of a slice. Slices nest. A wide slice's A A^T
    is the sum of its parts', so these come from the finest cut upwards; a tall slice's A^T A has its parts'
    as diagonal blocks, so these come from the coarsest cut downwards.
    """
    rows, columns = shape.matrix
    wide = [n for n in subspaces if columns // n >= rows]
    tall = [n for n in subspaces if columns // n < rows]
    yield from _sums(matrix, sorted(wide, reverse=True))
    yield from _blocks(matrix, sorted(tall))


def gram(slices: Tensor) -> Tensor:
    """Compute A A^T or A^T A of each matrix, whichever is smaller."""
    return slices @ slices.mT if slices.shape[-1] >= slices.shape[-2] else slices.mT @ slices


def _sums(matrix: Tensor, descending: list[int]) -> Iterator[tuple[int, Tensor]]:
    known: dict[int, Tensor] = {}
    for number in descending:
        finer = min((n for n in known if n % number == 0), default=None)
        if finer is None:
            known[number] = gram(slices_of(matrix, number))
        else:
            known[number] = known[finer].unflatten(1, (number, finer // number)).sum(dim=2)
        yield number, known[number]


def _blocks(matrix: Tensor, ascending: list[int]) -> Iterator[tuple[int, Tensor]]:
    known: dict[int, Tensor] = {}
    for number in ascending:
        coarser = max((n for n in known if number % n == 0), default=None)
        known[number] = (
            gram(slices_of(matrix, number))
            if coarser is None
            else _diagonal_blocks(known[coarser], number // coarser)
        )
        yield number, known[number]


def _diagonal_blocks(parents: Tensor, parts: int) -> Tensor:
    """Cut groups x k x n x n into its diagonal blocks: groups x (k parts) x (n / parts) x (n / parts)."""
    size = parents.shape[-1] // parts
    blocks = parents.unflatten(-1, (parts, size)).unflatten(-3, (parts, size))
    return blocks.diagonal(dim1=2, dim2=4).movedim(-1, 2).flatten(1, 2)
