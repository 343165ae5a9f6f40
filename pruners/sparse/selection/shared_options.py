"""The options that all score methods share: which layers keep how much, in how many rounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pruners.errors import PrunerError, UnknownLayer, nearest
from pruners.method import Option
from pruners.option_values import LAYERS, ByLayer, Choice, Flag, Number, Share, Whole
from pruners.sparse.selection.counts import exact_share

if TYPE_CHECKING:  # torch takes seconds to import, and who reads of a method needs none
    from pruners.sparse.selection.prunable import PrunableLayer

BY_IMAGES = ("measured", "owl")
"""Allocations that need calibration images."""
ALLOCATIONS = ("global", "layerwise", "erk", "lamp", *BY_IMAGES)
REFITS = ("none", "layer", "sequential")
SCHEDULES = ("linear", "exponential")
_KINDS = ("conv", "linear", "output")

SHARED_OPTIONS = (
    Option(
        "allocation",
        "global",
        "which layers keep how much: global (the best weights wherever they are), "
        "layerwise (the same share), erk, lamp (the best as shares of what is left of their layer), "
        "measured (by what each layer's density does to the outputs on data=), "
        "owl (more where more weights are outliers on data=)",
        Choice(ALLOCATIONS),
    ),
    Option(
        "rounds",
        1,
        "times that weights are scored and the worst removed, until the budget is met",
        Whole(1, 10**6),
    ),
    Option(
        "schedule",
        "exponential",
        "how the density falls over the rounds: linear or exponential",
        Choice(SCHEDULES),
    ),
    Option("min_layer_keep", 0, "least number of weights kept in every layer that has so many", Whole(0)),
    Option(
        "layer_keep_ratio",
        {},
        "layer, or conv, linear or output (the last Linear) -> share of its weights kept; "
        "the budget is for the rest",
        ByLayer(Share(), "layers, or kinds of layer, to shares", each=""),
    ),
    Option(
        "exclude",
        (),
        "names of layers that stay dense, or patterns (layer1.*); their weights do not count",
        LAYERS,
    ),
    Option(
        "scale",
        {},
        "layer -> factor of its measured curve, for the allocation measured",
        ByLayer(Number(above=True), "layers to factors"),
    ),
    Option(
        "owl_m",
        5.0,
        "the paper's M: a weight is an outlier where |w| times its input's norm is above M times the layer's "
        "mean of these, for the allocation owl",
        Number(above=True),
    ),
    Option(
        "owl_lambda",
        0.08,
        "the paper's lambda: how far a layer's density may be from that of all, for the allocation owl",
        Share(),
    ),
    Option(
        "refit",
        "none",
        "fit each layer's kept weights to its dense outputs on data=, by least squares: none, layer (from "
        "the dense network's inputs), sequential (from those that the masked layers before it leave it)",
        Choice(REFITS),
    ),
    Option(
        "ridge",
        1e-2,
        "ridge of these least squares, as a share of the inputs' mean square; a large one leaves the kept "
        "weights as they are",
        Number(),
    ),
    Option("invert", False, "remove the highest scores in place of the lowest, as a sanity check", Flag()),
)


@dataclass(frozen=True)
class SelectionOptions:
    """The shared options, checked.

    ``shares`` is the share kept of each layer that has one of its own, ``scale`` the factor of each curve
    that has one.
    """

    allocation: str
    rounds: int
    schedule: str
    min_layer_keep: int
    shares: Mapping[str, Fraction]
    scale: Mapping[str, float]
    owl_m: float
    owl_lambda: Fraction
    invert: bool


def selection_options(
    options: Mapping[str, Any], layers: "Mapping[str, PrunableLayer]", signed: bool
) -> SelectionOptions:
    """Read what a method's options say of these layers; ``signed`` tells whether its scores may be negative.

    Raises PrunerError where two options do not agree, UnknownLayer for a name in ``layer_keep_ratio`` or
    ``scale`` that is no layer's.
    """
    _check_agreement(options, signed)
    for name in options["scale"]:
        if name not in layers:
            raise UnknownLayer(f"scale: the network has no prunable layer {name!r}{nearest(name, layers)}")
    return SelectionOptions(
        options["allocation"],
        options["rounds"],
        options["schedule"],
        options["min_layer_keep"],
        _shares(options["layer_keep_ratio"], layers),
        options["scale"],
        options["owl_m"],
        exact_share(options["owl_lambda"], "owl_lambda"),
        options["invert"],
    )


def _check_agreement(options: Mapping[str, Any], signed: bool) -> None:
    allocation = options["allocation"]
    if allocation == "lamp" and signed:
        raise PrunerError(
            "allocation lamp compares squares of scores, and with these options the method's have a sign: "
            "take another allocation."
        )
    if allocation == "measured" and options["rounds"] > 1:
        raise PrunerError(
            f"allocation measured removes weights once: give rounds 1, not {options['rounds']}."
        )
    if options["scale"] and allocation != "measured":
        raise PrunerError(f"scale multiplies curves of the allocation measured; {allocation} has none.")


def _shares(asked: Mapping[str, float], layers: "Mapping[str, PrunableLayer]") -> dict[str, Fraction]:
    """Return the shares that layers have of their own; a layer's name goes before its kind."""
    kinds = {layer.kind for layer in layers.values()}
    for name in asked:
        if name in _KINDS and name not in kinds and name not in layers:
            raise UnknownLayer(
                f"layer_keep_ratio: the network has no {name} layer; its kinds are "
                f"{', '.join(sorted(kinds))}."
            )
        if name not in kinds and name not in layers:
            raise UnknownLayer(
                f"layer_keep_ratio: the network has no prunable layer {name!r}"
                f"{nearest(name, [*layers, *_KINDS])}"
            )
    shares = {name: exact_share(value, f"layer_keep_ratio of {name!r}") for name, value in asked.items()}
    own = {name: shares.get(name, shares.get(layer.kind)) for name, layer in layers.items()}
    return {name: share for name, share in own.items() if share is not None}
