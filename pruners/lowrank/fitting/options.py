"""The options that all methods of kind decomposition share: how factors are fitted to data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pruners.errors import PrunerError
from pruners.lowrank.fitting.encoders import ENCODERS
from pruners.method import Option
from pruners.option_values import Choice, Number

REFITS = ("none", "moments", "layer", "sequential")


def encoders_option(default: str) -> Option:
    """Return the option that says which encoders a refit begins with, at a method's own default."""
    return Option(
        "encoders",
        default,
        "rows of each layer's first half: of the slices' own SVD (weight), of that of the slices times the "
        "root of their inputs' second moment (whitened), or fitted to the outputs in turn with the second "
        f"half (joint; slower); others than {default} need a refit",
        Choice(ENCODERS),
    )


REFIT_OPTIONS = (
    Option(
        "refit",
        None,
        "fit each layer's second half to the dense outputs on data=, by least squares: none, layer (from the "
        "dense network's inputs), moments (the same, BatchNorm by a formula: the compressed network is not "
        "run), sequential (layer after layer, from the compressed network's own inputs); None: sequential "
        "where data= is given",
        Choice(REFITS),
    ),
    Option(
        "ridge",
        1e-3,
        "ridge of these least squares, as a share of the inputs' mean square; a large one leaves the factors "
        "as the weights alone give them",
        Number(),
    ),
    encoders_option("weight"),
)


@dataclass(frozen=True)
class FitOptions:
    """The shared options, checked, with ``refit`` one of `REFITS`."""

    refit: str
    ridge: float
    encoders: str


def fit_options(options: Mapping[str, Any], own_encoders: str, has_data: bool) -> FitOptions:
    """Read what a method's options say of fitting; ``own_encoders`` are the method's without a refit.

    Raises PrunerError where they ask for a fit and there are no calibration images, or for encoders without.
    """
    refit = options["refit"] or ("sequential" if has_data else "none")
    if refit != "none" and not has_data:
        raise PrunerError(f"refit {refit!r} needs data=, a few hundred inputs of the network.")
    if refit == "none" and options["encoders"] != own_encoders:
        raise PrunerError(
            f"encoders {options['encoders']!r} belong to a refit: give data=, and another refit than 'none'."
        )
    return FitOptions(refit, options["ridge"], options["encoders"])
