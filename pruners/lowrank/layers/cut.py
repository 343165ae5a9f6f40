"""What one layer becomes: a form, and the ranks that say how large it is then."""

from typing import NamedTuple

ENCODE, DECODE, SPLIT1, SPLIT2 = "encode", "decode", "split1", "split2"
FOLDINGS = (ENCODE, DECODE, SPLIT1, SPLIT2)
"""Forms of two layers: kernels as f x (c k1 k2), (f k1 k2) x c, (f k1) x (c k2), (f k2) x (c k1)."""
TUCKER, CP = "tucker", "cp"
KMEANS, PROJECTIVE = "kmeans", "projective"
CLUSTERINGS = (KMEANS, PROJECTIVE)
"""Forms of the usual folding whose slices are clusters of input channels, put in another order for that."""
FORMS = (*FOLDINGS, TUCKER, CP, *CLUSTERINGS)


class Cut(NamedTuple):
    """One option of a layer.

    A folding has ``rank`` in each of ``num_subspaces`` slices of input channels, a clustering in each of as
    many clusters of them. Tucker has ``rank`` output
    channels and ``in_rank`` input channels in its core, CP a sum of ``rank`` products.
    """

    rank: int
    num_subspaces: int
    form: str = ENCODE
    in_rank: int = 0


DENSE = Cut(0, 0)
"""A layer that stays as it is."""
