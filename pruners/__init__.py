"""Smaller networks: decompositions of their layers, masks over weights or fewer channels, within a budget.

    artifact = pruners.compress(model, "alds", keep_ratio=0.25)   # or budget=<parameters>,
                                                                  # or flops_ratio=, latency_ms= with example=
    artifact = pruners.compress(model, "calibrated", keep_ratio=0.15, data=images)
    artifact = pruners.compress(model, "snip", keep_ratio=0.05, data=batches, loss=cross_entropy)
    artifact = pruners.compress(model, "ft", flops_ratio=0.5, example=images[:1])
    small = artifact.apply(model)                                 # plain modules; the model is untouched
    artifact.save(path); pruners.load(path).apply(factory())
    int8 = pruners.quantize(small, images); int8.save(file); pruners.load_int8(file)

`compress` gives a `Decomposition`, a `Mask` or `Channels`, by the method's kind; `scores` tells what a mask
would be chosen by; `shuffle`, `random_mask` and `reinitialize` are the controls that a good mask must beat.
For decompositions `plan` chooses without making anything; `least_budget` and `budget_of` tell from shapes
alone (tensors on the meta device will do) what a method can reach and what a configuration {layer: {rank,
num_subspaces}} costs; a `NetworkShape` given in place of the network saves reading it again, and
`NetworkChannels` finding its channel groups anew. `methods` describes the methods and their options,
`unreached` the weights that one of them does not reach in a network: they are outside its budget.
"""

from pruners.artifact import Artifact
from pruners.calibration.refit import Refit
from pruners.channels.channels import Channels, LayerChannels
from pruners.channels.grouping.groups import ChannelGroup
from pruners.channels.methods.channel_method import SHARED as CHANNEL_OPTIONS
from pruners.channels.network_channels import NetworkChannels
from pruners.compress import compress, scores
from pruners.cost import Cost, cost
from pruners.errors import (
    BadArtifact,
    InfeasibleBudget,
    PrunerError,
    PrunerWarning,
    UnknownLayer,
    UnknownMethod,
    UnknownOption,
)
from pruners.lowrank.decomposition import Decomposition
from pruners.lowrank.fitting.options import REFIT_OPTIONS
from pruners.lowrank.layers.shapes import LayerShape, NetworkShape, compressible
from pruners.lowrank.plan import LayerChoice, Plan
from pruners.lowrank.spectra.held_memory import held_memory
from pruners.lowrank.spectra.network_spectra import Spectra
from pruners.method import Method, Option
from pruners.methods import method_named, methods
from pruners.network.batchnorm import recalibrate_batchnorm
from pruners.planning import budget_of, least_budget, plan
from pruners.quantization.int8 import Int8Network, load_int8, quantize
from pruners.sparse.controls import random_mask, reinitialize, shuffle
from pruners.sparse.early_bird import mask_distance, settled
from pruners.sparse.mask import LayerDensity, Mask
from pruners.sparse.selection.prunable import PrunableLayer, prunable
from pruners.sparse.selection.shared_options import SHARED as SHARED_OPTIONS
from pruners.storage import load
from pruners.unreached import Unreached, UnreachedWarning, unreached, unreached_sentence

__all__ = [
    "CHANNEL_OPTIONS",
    "REFIT_OPTIONS",
    "SHARED_OPTIONS",
    "Artifact",
    "BadArtifact",
    "ChannelGroup",
    "Channels",
    "Cost",
    "Decomposition",
    "InfeasibleBudget",
    "Int8Network",
    "LayerChannels",
    "LayerChoice",
    "LayerDensity",
    "LayerShape",
    "Mask",
    "Method",
    "NetworkChannels",
    "NetworkShape",
    "Option",
    "Plan",
    "PrunableLayer",
    "PrunerError",
    "PrunerWarning",
    "Refit",
    "Spectra",
    "UnknownLayer",
    "UnknownMethod",
    "UnknownOption",
    "Unreached",
    "UnreachedWarning",
    "budget_of",
    "compress",
    "compressible",
    "cost",
    "held_memory",
    "least_budget",
    "load",
    "load_int8",
    "mask_distance",
    "method_named",
    "methods",
    "plan",
    "prunable",
    "quantize",
    "random_mask",
    "recalibrate_batchnorm",
    "reinitialize",
    "scores",
    "settled",
    "shuffle",
    "unreached",
    "unreached_sentence",
]
