"""A network with int8 weights: calibrated, run, saved and loaded."""

import io
import json
import platform
import zipfile
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, final, get_args

import torch
import torch.ao.quantization.fx._decomposed  # the operators that a saved graph is made of
from torch import nn
from torch.fx import GraphModule

from pruners.calibration.batches import calibration_batches
from pruners.calibration.divergence import OutputDistance
from pruners.errors import BadArtifact, PrunerError
from pruners.network.copying import copied
from pruners.network.forward_pass import batch_that_runs, evaluating, evaluating_on
from pruners.network.inputs import Inputs, forward_on_copy, map_tensors
from pruners.network.layer_names import check_module, named_modules, unwrapped
from pruners.network.readiness import check_initialized
from pruners.network.timing import REPEATS, median_seconds
from pruners.quantization.capture import ByPosition, by_position, captured, exported, several
from pruners.quantization.torchao import lowered_to_x86, quantized_graph, quietly
from pruners.whole_files import write_whole

Activations = Literal["static", "dynamic"]
"""How activations become int8: by ranges seen on calibration images, or by each batch's own."""

_NOTES = "int8.json"


@final
class Int8Network(nn.Module):
    """A network with int8 weights (a scale for each output channel) that computes on a CPU.

    It is called as the network that it was made of, with batches of any size, and is never trained.
    ``activations`` says how those became int8, ``divergence`` how far its outputs are from the float
    network's on the calibration images: mean Kullback-Leibler divergence of class scores in nats, of other
    outputs the relative squared error. As it stands it shows what int8 computes, slowly; `lowered` is fast.
    """

    def __init__(
        self,
        graph: GraphModule,
        activations: Activations,
        divergence: float,
        names: tuple[str, ...],
        example: tuple[Any, ...],
    ):
        super().__init__()
        self.graph, self.activations, self.divergence = graph, activations, divergence
        self._names, self._example = names, example
        self.training = False

    def forward(self, *inputs: Any, **by_name: Any) -> Any:
        """Return the outputs for a batch."""
        return self.graph(*inputs, *(by_name[name] for name in self._names))

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode, whatever ``mode``: what is int8 has no gradient."""
        return self

    def lowered(self, example: Inputs) -> nn.Module:
        """Return the network for batches of the very shape of ``example``, on oneDNN's int8 operators.

        Its inputs go by position. It needs torchao and an x86 processor; one without VNNI may saturate
        sums. Raises PrunerError on other processors.
        """
        if not has_int8_operators():
            raise PrunerError(f"int8 operators are for x86 processors, and this is {platform.machine()}.")
        return lowered_to_x86(self.graph, by_position(example))

    def latency_ms(self, example: Inputs) -> float:
        """Measure the median time of one forward pass of `lowered` in milliseconds, as `pruners.cost` does.

        Raises PrunerError as `lowered` does, and for an example that the network cannot take.
        """
        batch, copies = batch_that_runs(self, example)
        network, inputs = self.lowered(batch), by_position(batch)
        seconds = median_seconds(lambda: forward_on_copy(network, inputs), torch.device("cpu"), REPEATS)
        return 1000 * seconds / copies

    def save(self, path: str | Path) -> None:
        """Write the network into one file, whole or not at all: what torch.export saves, compressed.

        `load_int8`, or torch.export.load after the import of torch.ao.quantization.fx._decomposed, reads it
        without the network's code.
        """
        write_whole(Path(path), self._content)

    @cached_property
    def _content(self) -> bytes:
        """What `save` writes, made once: exporting takes seconds."""
        notes = {"activations": self.activations, "divergence": self.divergence, "names": self._names}
        content = io.BytesIO()
        with quietly():
            program = exported(self.graph, self._example, strict=False)
            for node in program.graph.nodes:  # where a node comes from is another place in every process
                node.meta = {name: told for name, told in node.meta.items() if name == "val"}
            torch.export.save(program, content, extra_files={_NOTES: json.dumps(notes)})
        return _deflated(content.getvalue())


def has_int8_operators() -> bool:
    """Tell whether `Int8Network.lowered` can be had on this processor."""
    return platform.machine().lower() in ("x86_64", "amd64")


def quantize(
    model: nn.Module, data: Inputs | Iterable[Any], activations: Activations = "static"
) -> Int8Network:
    """Make a network int8 by torchao (PyTorch's PT2E quantisation): convolutions and Linears, after what
    follows them was fused.

    ``data`` is calibration images without labels as `compress` takes them, a few hundred; of ``dynamic``
    activations it only shows the form of the inputs, and convolutions stay float. Weights are rounded to the
    nearest of 256 values for each output channel. The given network, a small one as well as a dense one, is
    not changed.

    PrunerError for a network that torch.export cannot follow or torchao not quantise (BatchNorm without
    running statistics, weights that are computed), of which nothing would be int8, whose parameters are not
    float32, and for images that it cannot be run on.
    """
    if activations not in get_args(Activations):
        raise PrunerError(f"activations are static or dynamic, not {activations!r}.")
    check_module(model)
    check_initialized(model)
    _check_parts(model)
    batches = calibration_batches(data, torch.device("cpu"))
    network = copied(unwrapped(model)).cpu().eval()
    with evaluating_on(network, batches[0]):
        forward_on_copy(network, batches[0])
    names = tuple(batches[0]) if isinstance(batches[0], Mapping) else ()
    positional = [by_position(batch) for batch in batches]
    with evaluating(network), quietly():
        whole = ByPosition(network, names) if names else network
        graph = quantized_graph(captured(whole, positional[0]), activations, positional)
        _check_any_int8(graph, activations)
        distance = OutputDistance()
        for batch, inputs in zip(batches, positional, strict=True):
            distance.add(forward_on_copy(network, batch), forward_on_copy(graph, inputs))
    # a saved graph comes with an example of its inputs, which nobody's images are
    example = map_tensors(torch.zeros_like, several(positional[0]))
    return Int8Network(graph, activations, distance.value, names, example)


def load_int8(path: str | Path) -> Int8Network:
    """Load the network that `Int8Network.save` wrote. Raises BadArtifact for a file that is none."""
    notes = {_NOTES: ""}
    try:
        with quietly():
            program = torch.export.load(io.BytesIO(Path(path).read_bytes()), extra_files=notes)
        told = json.loads(notes[_NOTES])
        (example, _), graph = program.example_inputs or ((), {}), program.module()
        return Int8Network(
            graph, told["activations"], told["divergence"], tuple(told["names"]), tuple(example)
        )
    except OSError as error:
        raise BadArtifact(f"{path} cannot be read ({error.strerror}).") from None
    except MemoryError:
        raise
    except Exception as error:
        raise BadArtifact(f"{path} is damaged or no int8 network: {type(error).__name__}.") from error


def _check_parts(model: nn.Module) -> None:
    for name, module in named_modules(model):
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise PrunerError(
                "A network is made int8 with BatchNorm's running statistics folded into its layers, "
                f"and {name!r} keeps none."
            )
    others = {name: p.dtype for name, p in model.named_parameters() if p.dtype != torch.float32}
    for name, dtype in others.items():
        raise PrunerError(f"A network is made int8 from float32, and {name!r} is {dtype}.")


def _check_any_int8(graph: GraphModule, activations: Activations) -> None:
    if not any(tensor.dtype == torch.int8 for tensor in graph.state_dict().values()):
        layer = "Linear" if activations == "dynamic" else "convolution or Linear"
        raise PrunerError(
            f"Nothing of the network can be made int8: with {activations} activations it is the "
            f"weights of each {layer}, and it has none."
        )


def _deflated(archive: bytes) -> bytes:
    """Compress the members of a zip archive: the graph is text, larger than a small network's weights."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as before,
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        for member in before.infolist():
            # the time of writing is no part of what is written
            after.writestr(zipfile.ZipInfo(member.filename), before.read(member), zipfile.ZIP_DEFLATED)
    return content.getvalue()
