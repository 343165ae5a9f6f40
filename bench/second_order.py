"""Times OBD and MLPrune on one core, and their memory, beside plain textbook implementations.

All in the same run. The textbook takes OBD's squared gradients one sample after the other, Hutchinson's
products with the loss built anew for each probe, and MLPrune's factors from all of a batch's patches at
once, inverted by an eigendecomposition each, as K-FAC codes do. Each runs in a process of its own, whose
highest resident memory above what it began with is shown (Linux); the scores are checked to be the same.
Ratios mean something on any machine, the seconds do not. Run: python -m bench.second_order
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, unfold

from pruners.sparse.curvature.scoring_inputs import ScoringInputs
from pruners.sparse.methods.mlprune import MLPrune
from pruners.sparse.methods.obd import OBD
from pruners.sparse.methods.score_method import ScoreMethod
from pruners.sparse.selection.prunable import prunable

SAMPLES, PROBES, DAMPING = 100, 4, 1e-3
Scores = dict[str, Tensor]


def lenet() -> nn.Module:
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


def convolutions() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs, stride in (
        (1, 32, 1),
        (32, 32, 1),
        (32, 64, 2),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
    ):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {"lenet-300-100": lenet, "six 3x3 convolutions": convolutions}


def case(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    return network, torch.randn(SAMPLES, 1, 28, 28), torch.arange(SAMPLES) % 10


def weights_of(network: nn.Module) -> dict[str, nn.Parameter]:
    return {layer.parameter: network.get_parameter(layer.parameter) for layer in prunable(network).values()}


def ours(method: ScoreMethod, **options: object) -> Callable[[str], Scores]:
    def scores(name: str) -> Scores:
        network, inputs, labels = case(name)
        scoring_inputs = ScoringInputs(
            [(inputs, labels)], cross_entropy, None, torch.Generator().manual_seed(0)
        )
        return method.scores(network, weights_of(network), {}, scoring_inputs, method.with_defaults(options))

    return scores


def sample_by_sample(name: str) -> Scores:
    network, inputs, labels = case(name)
    weights = weights_of(network)
    squares = {n: torch.zeros_like(w) for n, w in weights.items()}
    for i in range(SAMPLES):
        loss = cross_entropy(network(inputs[i : i + 1]), labels[i : i + 1])
        for n, gradient in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
            squares[n] += gradient**2
    return {n: w.detach() ** 2 * squares[n] / SAMPLES / 2 for n, w in weights.items()}


def probe_by_probe(name: str) -> Scores:
    network, inputs, labels = case(name)
    weights, generator = weights_of(network), torch.Generator().manual_seed(0)
    diagonal = {n: torch.zeros_like(w) for n, w in weights.items()}
    for _ in range(PROBES):
        signs = [2.0 * torch.randint(0, 2, w.shape, generator=generator) - 1 for w in weights.values()]
        gradients = torch.autograd.grad(
            cross_entropy(network(inputs), labels), list(weights.values()), create_graph=True
        )
        along = sum((g * z).sum() for g, z in zip(gradients, signs, strict=True))
        for n, z, product in zip(
            weights, signs, torch.autograd.grad(along, list(weights.values())), strict=True
        ):
            diagonal[n] += z * product / PROBES
    return {n: w.detach() ** 2 * diagonal[n] / 2 for n, w in weights.items()}


def eigendecomposed(name: str) -> Scores:
    network, inputs, labels = case(name)
    given: dict[str, Tensor] = {}
    returned: dict[str, Tensor] = {}

    def remember(n: str, module: nn.Module) -> None:
        def forward(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            given[n] = args[0].detach()
            output.register_hook(lambda gradient: returned.__setitem__(n, gradient * SAMPLES))

        module.register_forward_hook(forward)

    for n, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            remember(f"{n}.weight", layer)
    cross_entropy(network(inputs), labels).backward()
    scores = {}
    for n, weight in weights_of(network).items():
        columns, rows = given[n], returned[n]
        if columns.dim() == 4:
            layer = network.get_submodule(n.removesuffix(".weight"))
            columns = (
                unfold(columns, layer.kernel_size, padding=layer.padding, stride=layer.stride)
                .transpose(1, 2)
                .flatten(0, 1)
            )
            rows = rows.flatten(2).transpose(1, 2).flatten(0, 1)
        inverses = []
        for factor in (rows.T @ rows / len(rows), columns.T @ columns / SAMPLES):
            values, vectors = torch.linalg.eigh(factor.double())
            inverses.append(
                (vectors @ torch.diag(1 / (values + DAMPING**0.5 * values.mean())) @ vectors.T).diagonal()
            )
        fisher = inverses[0][:, None] * inverses[1]
        scores[n] = (weight.detach().flatten(1) ** 2 / (2 * fisher)).reshape(weight.shape).float()
    return scores


PAIRS: dict[str, tuple[Callable[[str], Scores], Callable[[str], Scores]]] = {
    "obd, fisher": (sample_by_sample, ours(OBD())),
    f"obd, {PROBES} probes": (probe_by_probe, ours(OBD(), diagonal="hutchinson", probes=PROBES)),
    "mlprune": (eigendecomposed, ours(MLPrune(), labels="empirical", damping=DAMPING)),
}


def resident() -> float:
    """Read the highest resident memory since it was last reset, in MiB."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


def measured(pair: str, side: int, network: str, answer: multiprocessing.SimpleQueue) -> None:
    torch.set_num_threads(1)
    torch.linalg.eigh(torch.eye(2))  # loads the library
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is what there is now
    before = resident()
    scores = PAIRS[pair][side](network)
    memory = resident() - before
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        PAIRS[pair][side](network)
        taken.append(time.perf_counter() - start)
    answer.put((min(taken), memory, {name: score.numpy() for name, score in scores.items()}))


def alone(pair: str, network: str) -> Iterator[tuple[float, float, Scores]]:
    """Measure seconds, MiB and scores of the textbook and then of ours, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    for side in (0, 1):
        answer = context.SimpleQueue()
        process = context.Process(target=measured, args=(pair, side, network, answer))
        process.start()
        taken, memory, scores = answer.get()
        process.join()
        yield taken, memory, {name: torch.from_numpy(score) for name, score in scores.items()}


def main() -> None:
    print(
        f"{'one core, ' + str(SAMPLES) + ' samples':40}{'textbook ms':>12}{'ours ms':>10}{'faster':>8}"
        f"{'textbook MiB':>14}{'ours MiB':>10}"
    )
    for network in NETWORKS:
        for pair in PAIRS:
            (plain, plain_memory, expected), (taken, memory, found) = alone(pair, network)
            for name, score in expected.items():
                torch.testing.assert_close(
                    found[name], score, rtol=1e-3, atol=1e-4 * float(score.abs().max())
                )
            times = f"{1000 * plain:12.0f}{1000 * taken:10.0f}{plain / taken:8.1f}"
            row = f"{times}{plain_memory:14.0f}{memory:10.0f}"
            print(f"{pair + ', ' + network:40}{row}", flush=True)


if __name__ == "__main__":
    main()
