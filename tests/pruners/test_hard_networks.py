"""Networks that are hard to copy, to run or to decompose.

Compressed, or refused in a sentence that names the layer.
"""

import tempfile
import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import pruners

METHODS = ("alds", "svd", "magnitude")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def pruned_by_torch(model):
    prune.l1_unstructured(model[0], "weight", 0.3)
    model(torch.ones(2, 8)).sum().backward()


def keeping_an_activation(model):
    model[1].kept = model[0](torch.ones(2, 8))


def keeping_a_history(model):
    model[1].history = {"outputs": [(model(torch.ones(2, 8)),)], "count": 1}
    model[1].history["itself"] = model[1].history


def remembering_in_a_hook(model):
    model[0].register_forward_hook(lambda module, given, output: setattr(module, "last", output))
    model(torch.ones(2, 8))


@pytest.mark.filterwarnings("ignore::pruners.unreached.UnreachedWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "prepare", [pruned_by_torch, keeping_an_activation, keeping_a_history, remembering_in_a_hook]
)
def test_a_network_that_keeps_computed_tensors_is_compressed(prepare, method):
    model, batch = network(), torch.randn(4, 8)
    prepare(model)
    before = model(batch)
    artifact = pruners.compress(model, method, keep_ratio=0.6)
    small = artifact.apply(model)
    assert not torch.equal(small(batch), before)
    assert torch.equal(model(batch), before)
    small(batch).sum().backward()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "make", [threading.Lock, tempfile.TemporaryFile, lambda: (step for step in range(3))]
)
def test_what_cannot_be_copied_is_named(make, method):
    model = network()
    model[2].mine = make()
    with pytest.raises(pruners.PrunerError, match=r"'mine' of module '2' \(Linear\) is an? .*refuses"):
        pruners.compress(model, method, keep_ratio=0.5).apply(model)
    if hasattr(model[2].mine, "close"):
        model[2].mine.close()


def test_a_helper_that_cannot_be_copied_is_named_by_its_attribute():
    model = network()
    model.helpers = {"locks": [threading.Lock()]}
    with pytest.raises(pruners.PrunerError, match="attribute 'helpers' of its Sequential"):
        pruners.compress(model, "magnitude", keep_ratio=0.5).apply(model)


NOTHING_TO_DECOMPOSE = {
    "other convolutions": lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.Conv3d(8, 8, 1)),
    "scripted": lambda: torch.jit.script(network()),
    "parametrised": lambda: parametrizations.weight_norm(nn.Linear(8, 8)),
    "nothing at all": nn.ReLU,
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
@pytest.mark.parametrize("method", ["alds", "svd", "svd_energy"])
@pytest.mark.parametrize("what", NOTHING_TO_DECOMPOSE)
def test_a_network_with_nothing_to_decompose_is_refused(what, method):
    model = NOTHING_TO_DECOMPOSE[what]()
    for ask in (pruners.compress, pruners.plan):
        with pytest.raises(pruners.PrunerError, match="no layer that can be decomposed"):
            ask(model, method, keep_ratio=0.5)
    with pytest.raises(pruners.PrunerError, match="no layer that can be decomposed"):
        pruners.least_budget(model, method=method)


def everything_that_looks_at(model):
    yield lambda: pruners.plan(model, "svd", keep_ratio=0.5)
    yield lambda: pruners.compress(model, "alds", keep_ratio=0.5)
    yield lambda: pruners.compress(model, "magnitude", keep_ratio=0.5)
    yield lambda: pruners.scores(model, "magnitude")
    yield lambda: pruners.compress(network(), "magnitude", keep_ratio=0.5).apply(model)
    yield lambda: pruners.compress(network(), "svd", keep_ratio=0.5).apply(model)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layers_are_named_until_they_have_been_run():
    model = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, 3))
    asked = [
        *everything_that_looks_at(model),
        lambda: pruners.cost(model, torch.ones(1, 8)),
        lambda: pruners.least_budget(model),
    ]
    asked += [lambda: pruners.unreached(model, "alds"), lambda: pruners.unreached(model, "magnitude")]
    for ask in asked:
        with pytest.raises(pruners.PrunerError, match=r"'0' \(LazyLinear\) has no weights before"):
            ask()
    model(torch.ones(1, 8))
    assert pruners.compress(model, "alds", keep_ratio=0.5).params <= 88


def test_parameters_without_values_are_named():
    with torch.device("meta"):
        model = network()
    for ask in everything_that_looks_at(model):
        with pytest.raises(pruners.PrunerError, match=r"'0\.weight' is on the meta device"):
            ask()
    with pytest.raises(pruners.PrunerError, match=r"layer '0' \(Linear\) refuses"):
        pruners.cost(model, torch.ones(1, 8))
    assert pruners.cost(model, torch.ones(1, 8, device="meta")).multiply_adds == 8 * 16 + 16 * 3
    assert 0 < pruners.least_budget(model) < 1


EMPTY = {
    "no inputs": (lambda: nn.Sequential(nn.Linear(0, 8), nn.Linear(8, 3)), ["0"]),
    "no outputs": (lambda: nn.Sequential(nn.Linear(8, 0), nn.Linear(0, 3), nn.Linear(3, 3)), ["0", "1"]),
    "no channels": (lambda: nn.Sequential(nn.Conv2d(0, 8, 3), nn.Flatten(), nn.Linear(8, 3)), ["0"]),
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("which", EMPTY)
def test_zero_sized_layers(which, method):
    make, empty = EMPTY[which]
    model = make()
    if method != "magnitude":
        for ask in (pruners.compress, pruners.plan):
            with pytest.raises(pruners.PrunerError, match="Layer '0' has no weights"):
                ask(model, method, keep_ratio=0.9)
    artifact = pruners.compress(model, method, keep_ratio=0.9, exclude=empty)
    assert artifact.apply(model) is not model
    assert pruners.compress(model, "magnitude", keep_ratio=0.5).layers["0"].density == 1


class Quantised(nn.Module):
    """A weight that is converted when it is used."""

    def __init__(self, dtype):
        super().__init__()
        self.stored, self.output = nn.Linear(5, 3), nn.Linear(3, 4)
        self.stored.weight = nn.Parameter(torch.ones(3, 5).to(dtype), requires_grad=False)

    def forward(self, features):
        return self.output(features @ self.stored.weight.to(torch.float32).T)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64])
@pytest.mark.filterwarnings("ignore:Casting complex values to real")
def test_weights_that_nothing_is_computed_from_are_named(dtype, method):
    model = Quantised(dtype)
    with pytest.raises(
        pruners.PrunerError, match=r"'stored\.weight' is " + str(dtype).removeprefix("torch.")
    ):
        pruners.compress(model, method, keep_ratio=0.7)
    for _ in range(2):  # the second time with kept spectra
        artifact = pruners.compress(model, method, keep_ratio=0.99, exclude=["stored"])
    assert pruners.cost(artifact, torch.ones(1, 5)).multiply_adds <= 15 + 12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_weights_of_a_sparse_layout_are_named(layout, method):
    model = network()
    dense = torch.eye(16, 8)
    stored = dense.to_sparse() if layout == "sparse_coo" else dense.to_sparse_csr()
    model[0].weight = nn.Parameter(stored)
    with pytest.raises(pruners.PrunerError, match=rf"'0\.weight' is {layout}.* convert it with to_dense"):
        pruners.compress(model, method, keep_ratio=0.7)


def test_a_network_without_modes_is_refused():
    exported = torch.export.export(network(), (torch.ones(2, 8),)).module()
    with pytest.raises(pruners.PrunerError, match="cannot be brought into eval mode: "):
        pruners.cost(exported, torch.ones(2, 8))


class InAClosure(nn.Module):
    """A function that knows its module from the code around it, and so always computes with this one."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.last, self.seen = nn.Linear(8, 16), nn.Linear(16, 3), {}
        self.steps = [self.first]
        if kind == "a list":
            self.steps = [lambda features: self.first(features)]
        elif kind == "a default":
            self.steps = [lambda features, layer=self.first: layer(features)]
        elif kind == "a forward around the forward":
            inner = self.first.forward
            self.first.forward = lambda features: inner(features)
        else:
            self.first.register_forward_hook(lambda layer, given, output: self.seen.update(last=output))

    def forward(self, features):
        return self.last(self.steps[0](features).relu())


@pytest.mark.filterwarnings("ignore::pruners.UnreachedWarning")
@pytest.mark.parametrize("method", ["svd", "magnitude", "snip"])
@pytest.mark.parametrize("kind", ["a list", "a default", "a forward around the forward", "a hook"])
def test_a_function_that_a_copy_would_share_is_named(kind, method):
    model, batch = InAClosure(kind), torch.ones(2, 8)
    data = {"data": [(batch, torch.tensor([0, 1]))], "loss": nn.functional.cross_entropy}
    with pytest.raises(pruners.PrunerError, match=r"its InAClosure|module 'first' \(Linear\)") as caught:
        options = data if method == "snip" else {}
        pruners.compress(model, method, keep_ratio=0.7, **options).apply(model)
    assert "lambda" in str(caught.value) and "Make it a method" in str(caught.value)


def test_methods_and_functions_of_something_else_are_copied():
    class Bound(nn.Module):
        def __init__(self):
            super().__init__()
            offset = torch.ones(16)
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)
            self.step, self.shift = self.inner, lambda features: features + offset
            self.first.register_forward_hook(self.note)
            self.notes = []

        def note(self, layer, given, output):
            self.notes.append(layer)

        def inner(self, features):
            return self.shift(self.first(features))

        def forward(self, features):
            return self.last(self.step(features))

    model = Bound()
    small = pruners.compress(model, "svd", keep_ratio=0.7).apply(model)
    small(torch.ones(2, 8)).sum().backward()
    assert small.notes == [small.first] and not model.notes
    assert all(p.grad is not None for p in small.parameters()) and not any(
        p.grad is not None for p in model.parameters()
    )


WRONG = {
    "the first layer": (
        lambda: network(),
        torch.ones(1, 7),
        r"shape \(1, 7\); layer '0' \(Linear\) refuses: .*1x7 and 8x16",
    ),
    "a layer inside": (
        lambda: nn.Sequential(network(), nn.Sequential(nn.Linear(4, 2))),
        torch.ones(1, 8),
        r"layer '1\.0' \(Linear\)",
    ),
    "another kind": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3)), torch.ones(1, 3), r"layer '0' \(Conv2d\)"),
    "another dtype": (
        lambda: nn.Sequential(nn.Embedding(4, 3)),
        torch.ones(1, 2),
        r"layer '0' \(Embedding\)",
    ),
    "no tensor": (network, "features", "example: a network's inputs are a tensor"),
    "an unknown argument": (
        network,
        {"features": torch.ones(1, 8)},
        "unexpected keyword argument 'features'",
    ),
}


@pytest.mark.parametrize("which", WRONG)
def test_the_layer_that_refuses_an_example_is_named(which):
    make, example, message = WRONG[which]
    with pytest.raises(pruners.PrunerError, match=message):
        pruners.cost(make(), example)
    if isinstance(make()[0], nn.Linear):
        with pytest.raises(pruners.PrunerError, match=message):
            pruners.compress(make(), "alds", flops_ratio=0.5, example=example)
        with pytest.raises(pruners.PrunerError, match=message):
            pruners.least_budget(make(), "flops_ratio", example=example)


@pytest.mark.parametrize(
    "method", ["snip", "iterative_snip", "grasp", "obd", "mlprune", "movement", "gradient_magnitude"]
)
def test_the_layer_that_refuses_data_is_named(method):
    batches = [(torch.ones(2, 7), torch.tensor([0, 1]))]
    with pytest.raises(
        pruners.PrunerError, match=rf"{method} cannot score the network; layer '0' \(Linear\) refuses"
    ):
        pruners.compress(network(), method, keep_ratio=0.5, data=batches, loss=nn.functional.cross_entropy)


class Standardised(nn.Module):
    """Statistics of the batch and nothing else."""

    def forward(self, features):
        if len(features) < 2:
            raise ValueError("a batch of one has no deviation")
        return (features - features.mean(0)) / (features.std(0) + 1e-3)


NO_BATCH_OF_ONE = {
    "BatchNorm1d": (nn.BatchNorm1d(16, track_running_stats=False), torch.ones(1, 8)),
    "its own layer": (Standardised(), torch.ones(1, 8)),
    "a tuple of inputs": (nn.BatchNorm1d(16, track_running_stats=False), (torch.ones(1, 8),)),
    "a dictionary of inputs": (nn.BatchNorm1d(16, track_running_stats=False), {"input": torch.ones(1, 8)}),
}


@pytest.mark.parametrize("which", NO_BATCH_OF_ONE)
def test_one_example_of_a_network_that_takes_only_batches(which):
    norm, example = NO_BATCH_OF_ONE[which]
    model = nn.Sequential(nn.Linear(8, 16), norm, nn.Linear(16, 3))
    cost = pruners.cost(model, example)
    assert cost.multiply_adds == 8 * 16 + 16 * 3 and cost.latency_ms > 0
    mask = pruners.compress(model, "magnitude", keep_ratio=0.5)
    assert pruners.cost(mask, example).multiply_adds == mask.params
    plan = pruners.plan(model, "alds", flops_ratio=0.6, example=example)
    assert plan.cost == plan.params <= int(0.6 * cost.multiply_adds)
