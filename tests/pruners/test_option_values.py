"""Wrong values of every option of every method, and of every argument.

One sentence that names them, never torch's or numpy's error.
"""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import pruners
from pruners.option_values import shown

METHODS = pruners.methods()
NASTY = {
    "none": None,
    "true": True,
    "false": False,
    "empty": "",
    "text": "a",
    "digits": "2",
    "zero": 0,
    "minus": -1,
    "two": 2,
    "half": 0.5,
    "two and a half": 2.5,
    "nan": math.nan,
    "inf": math.inf,
    "minus inf": -math.inf,
    "huge": 10**400,
    "list": [],
    "list of text": ["a"],
    "list of numbers": [1, 2.5],
    "list of none": [None],
    "mapping": {},
    "mapping of text": {"0": "2"},
    "mapping of true": {"0": True},
    "mapping of nan": {"0": math.nan},
    "mapping of none": {"0": None},
    "mapping of numbers": {0: 2},
    "mapping of mappings": {"0": {"rank": "a", "num_subspaces": 0}},
    "mapping of more": {"0": {"min_density": math.nan, "max_density": 2}},
    "object": object(),
    "tensor": torch.ones(3, 3),
    "scalar tensor": torch.tensor(2),
    "array": np.ones(3),
    "bytes": b"2",
    "class": nn.Linear,
    "complex": 1j,
}
COUNTS, FLAGS = {"two"}, {"true", "false"}
# of the values above those that an option does take, beside None where that is its default
TAKEN = {
    "allocate": set(),
    "allocation": set(),
    "bn": set(),
    "bounds": {"mapping"},
    "candidate_subspaces": set(),
    "clustering": set(),
    "damping": {"zero", "half", "two", "two and a half"},
    "diagonal": set(),
    "dtype": set(),
    "encoders": set(),
    "error": set(),
    "exclude": {"list", "list of text"},  # "a" may be a layer
    "folding": set(),
    "gradient": set(),
    "invert": FLAGS,
    "iterations": COUNTS,
    "keep_graphs": FLAGS,
    "labels": set(),
    "layer_keep_ratio": {"mapping"},
    "layers": {"mapping"},
    "metric": set(),
    "min_layer_keep": COUNTS | {"zero", "huge"},
    "negative_curvature": set(),
    "owl_lambda": {"half"},
    "owl_m": {"half", "two", "two and a half"},
    "power": {"half", "two", "two and a half"},
    "preset": set(),
    "probes": COUNTS,
    "rank_multiple": COUNTS,
    "refit": set(),
    "reinit_linear": FLAGS,
    "ridge": {"zero", "half", "two", "two and a half"},
    "round_to": COUNTS,
    "rounds": COUNTS,
    "samples": COUNTS,
    "scale": {"mapping"},
    "schedule": set(),
    "share": set(),
    "temperature": {"half", "two", "two and a half"},
    "tolerance": {"mapping"},
}


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def given():
    inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    return {"data": [(inputs, torch.arange(6) % 3)], "loss": cross_entropy, "example": inputs[:1]}


def every_option():
    return [(name, option.name) for name, method in METHODS.items() for option in method.all_options]


@pytest.mark.parametrize(("method", "option"), every_option())
def test_every_wrong_value_of_every_option_is_named(method, option):
    (described,) = (one for one in METHODS[method].all_options if one.name == option)
    assert described.checked(described.default) is not None or described.default is None
    for known in described.known:
        assert METHODS[method].with_defaults({option: known})[option] == known
    for kind, value in NASTY.items():
        if kind in TAKEN[option] or (value is None and described.default is None):
            METHODS[method].with_defaults({option: value})
            continue
        with pytest.raises(pruners.PrunerError) as caught:
            METHODS[method].with_defaults({option: value})
        assert option in str(caught.value) and "\n" not in str(caught.value), kind
        assert len(str(caught.value)) < 300, kind


@pytest.mark.parametrize(
    ("method", "option"),
    [pair for pair in every_option() if pair[0] in ("alds", "svd", "magnitude", "grasp")],
)
@pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")
def test_compressing_with_a_wrong_value_raises_nothing_raw(method, option):
    """What an option takes by itself may still not go with this network; that is a `PrunerError` too."""
    for value in NASTY.values():
        try:
            pruners.compress(network(), method, keep_ratio=0.5, **given(), **{option: value})
        except pruners.PrunerError as error:
            assert "\n" not in str(error)  # some values are right


SOME = [name for name in NASTY if name != "none"]
BUDGETS = {
    "keep_ratio": set(SOME) - {"half"},
    "budget": set(SOME) - {"two"},
    "flops_ratio": set(SOME) - {"half"},
}


@pytest.mark.parametrize("method", ["svd", "random"])
@pytest.mark.parametrize("budget", BUDGETS)
def test_budgets_are_numbers(method, budget):
    for kind in BUDGETS[budget]:
        with pytest.raises(pruners.PrunerError, match=budget) as caught:
            pruners.compress(network(), method, **{budget: NASTY[kind]}, **given())
        assert "\n" not in str(caught.value)


SEEDS = {"two", "zero", "minus"}
BAD_ARGUMENTS = [
    *[
        ("seed", NASTY[kind], "seed must be a whole number of at (least|most)")
        for kind in NASTY
        if kind not in SEEDS
    ],
    *[("loss", value, "loss takes a function") for value in ("cross_entropy", 3, [1])],
    ("data", 3, "data takes batches"),
    ("data", "batches", "data takes batches"),
    ("data", {"inputs": 1, "labels": 2}, "data takes batches"),
    ("data", (part for part in (1, 2)), "data takes batches"),
    ("data", torch.ones(6, 4), "data takes batches"),
    ("data", torch.tensor(3.0), "data takes batches"),
    ("data", [None], "data takes batches"),
    ("data", [("a", "b")], "labels of a batch are a tensor .* not a str"),
    ("data", [("a", torch.zeros(2))], "tensor"),
    ("data", [(torch.ones(6, 4), [0, 1])], "labels of a batch are a tensor .* not a list"),
    ("data", [(torch.ones(6, 4), torch.zeros(5))], r"as long as the inputs', not of shape \(5,\)"),
    ("data", [(torch.ones(0, 4), torch.zeros(0))], r"not of shape \(0,\)"),
    ("data", [(torch.ones(6, 4), torch.tensor(1))], r"not of shape \(\)"),
    ("example", "a", "example: .* str"),
    ("example", 3, "example: .* int"),
    ("example", torch.tensor(3.0), "example: "),
    ("example", [], "example: .* no tensor"),
    ("mask", "a", "mask takes a Mask"),
    ("mask", {"0.weight": torch.ones(6, 4)}, "mask takes a Mask"),
]


@pytest.mark.parametrize(("argument", "value", "message"), BAD_ARGUMENTS)
def test_arguments_of_another_kind_are_named(argument, value, message):
    for call in (
        lambda **a: pruners.compress(network(), "snip", keep_ratio=0.5, **a),
        lambda **a: pruners.scores(network(), "snip", **a),
    ):
        if argument == "data" and hasattr(value, "__next__"):
            value = (part for part in (1, 2))
        with pytest.raises(pruners.PrunerError, match=message):
            call(**given() | {argument: value})


@pytest.mark.parametrize("answer", [3.0, "a", None])
def test_a_loss_that_gives_no_tensor_is_told_so(answer):
    with pytest.raises(
        pruners.PrunerError, match=f"loss must give one number as a tensor .* not a {type(answer).__name__}"
    ):
        pruners.compress(
            network(), "snip", keep_ratio=0.5, **given() | {"loss": lambda outputs, labels: answer}
        )


def a_mask():
    return pruners.compress(network(), "random", keep_ratio=0.5)


OTHERS = {
    "shuffle's seed": (lambda: pruners.shuffle(a_mask(), "a"), "seed must be a whole number"),
    "shuffle's mask": (lambda: pruners.shuffle("a", 1), "mask takes a Mask, not 'a'"),
    "random mask's seed": (
        lambda: pruners.random_mask(a_mask(), 2**64),
        "seed must be a whole number of at most",
    ),
    "reinitialisation's seed": (lambda: pruners.reinitialize(network(), None), "seed must be a whole number"),
    "distance": (lambda: pruners.mask_distance(a_mask(), {}), r"mask takes a Mask, not \{\}"),
    "tolerance": (
        lambda: pruners.settled([a_mask()] * 3, 1, "a"),
        "tolerance must be a number of at least 0, not 'a'",
    ),
    "cost's mask": (lambda: pruners.cost(network(), torch.ones(1, 4), "a"), "mask takes a Mask, not 'a'"),
    "recalibration's batches": (
        lambda: pruners.recalibrate_batchnorm(network(), 3),
        "batches takes batches of input, not 3",
    ),
}


@pytest.mark.parametrize(("call", "message"), OTHERS.values(), ids=OTHERS)
def test_arguments_of_other_functions_are_named(call, message):
    with pytest.raises(pruners.PrunerError, match=message):
        call()


CALLS = {
    "compress": lambda model: pruners.compress(model, "svd", keep_ratio=0.5),
    "compress by a mask": lambda model: pruners.compress(model, "random", keep_ratio=0.5),
    "scores": lambda model: pruners.scores(model, "magnitude"),
    "plan": lambda model: pruners.plan(model, keep_ratio=0.5),
    "least_budget": pruners.least_budget,
    "budget_of": lambda model: pruners.budget_of(model, {}),
    "prunable": pruners.prunable,
    "compressible": pruners.compressible,
    "unreached": pruners.unreached,
    "reinitialize": lambda model: pruners.reinitialize(model, 0),
    "recalibrate_batchnorm": lambda model: pruners.recalibrate_batchnorm(model, []),
    "cost": lambda model: pruners.cost(model, torch.ones(1, 4)),
    "apply": lambda model: a_mask().apply(model),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "model",
    ["resnet18", None, nn.Linear, {"weight": torch.ones(2, 2)}],
    ids=["text", "none", "class", "state"],
)
def test_what_is_no_network_is_told_so(call, model):
    with pytest.raises(pruners.PrunerError, match=r"model must be a torch\.nn\.Module, not a"):
        call(model)


@pytest.mark.parametrize("name", [None, 3, ["svd"], "SVD", nn.Linear])
def test_a_method_of_no_such_name(name):
    with pytest.raises(pruners.UnknownMethod, match="There is no method"):
        pruners.compress(network(), name, keep_ratio=0.5)


@pytest.mark.parametrize(
    "pins", [3, ["0"], {"0": None}, {"0": {"rank": 1}}, {"0": {"rank": "a", "num_subspaces": 1}}, {0: {}}]
)
def test_budget_of_pins_of_another_kind(pins):
    with pytest.raises(pruners.PrunerError, match="layers"):
        pruners.budget_of(network(), pins)


def test_numbers_of_numpy_and_whole_floats_are_numbers():
    pin = {"0": {"rank": np.int64(1), "num_subspaces": 2.0}}
    artifact = pruners.compress(
        network(), "alds", keep_ratio=np.float64(0.9), layers=pin, tolerance={"2": np.float32(2)}
    )
    assert (artifact.layers["0"].rank, artifact.layers["0"].num_subspaces) == (1, 2)
    mask = pruners.compress(
        network(), "magnitude", keep_ratio=Fraction(1, 2), min_layer_keep=np.int32(1), exclude=("0",)
    )
    assert mask.params == 9 and mask.options["min_layer_keep"] == 1
    assert pruners.compress(network(), "magnitude", budget=np.int64(21)).params == 21


def test_long_values_are_shown_in_short():
    assert shown("a" * 200) == "'" + "a" * 76 + "..."
    assert "\n" not in shown(torch.ones(9, 9)) and len(shown(torch.ones(9, 9))) == 80
