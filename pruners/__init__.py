"""Smaller networks: decompositions of their layers, masks over weights or fewer channels, within a budget.

    artifact = pruners.compress(model, "alds", keep_ratio=0.25)   # or budget=<parameters>, or flops_ratio=,
                                                                  # latency_ratio=, latency_ms= with example=
    artifact = pruners.compress(model, "calibrated", keep_ratio=0.15, data=images)
    artifact = pruners.compress(model, "snip", keep_ratio=0.05, data=batches, loss=cross_entropy)
    artifact = pruners.compress(model, "ft", flops_ratio=0.5, example=images[:1])
    small = artifact.apply(model)                                 # plain modules; the model is untouched
    pruners.latencies({"dense": model, "small": small}, images)   # in turn: milliseconds, shares of the first
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

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
