"""``tombola plan``."""

import json
from dataclasses import asdict
from typing import Any

import click
import torch
from torch import nn

import pruners
from pruners.lowrank.layers.budget import IN_TIME
from sweeps.commands.texts.channel_plan import channel_plan
from sweeps.errors import INFEASIBLE, SweepError
from trainables import TaskError, seeds
from trainables.config import CompressionConfig
from trainables.task import checkpoint, networks
from trainables.task.data import load
from trainables.task.data.data import Data

_BATCH = 64


@click.command()
@click.option(
    "--model", required=True, help="A built-in network, torchvision:NAME, or your package.module:factory."
)
@click.option(
    "--checkpoint",
    "weights",
    help="Its trained weights (.safetensors, or .pt with tensors only); without them freshly drawn ones.",
)
@click.option(
    "--method", default="alds", show_default=True, help="See tombola methods; or your package.module:Class."
)
@click.option("--keep-ratio", type=float, help="Share of the compressible weights to keep.")
@click.option("--budget", type=int, help="Compressible weights to keep.")
@click.option("--flops-ratio", type=float, help="Share of their multiply-adds to keep; needs --input.")
@click.option(
    "--latency-ratio",
    type=float,
    help="Share of the time to keep for one input on this CPU, by times of its layers; needs --input.",
)
@click.option(
    "--latency-ms",
    type=float,
    help="Milliseconds that it may take for one input on this CPU, by times of its layers; needs --input.",
)
@click.option(
    "--latency-table",
    type=click.Path(dir_okay=False),
    help="A JSON file that keeps these times; without it they are measured anew.",
)
@click.option("--metric", help="Error metric of the allocation.")
@click.option("--error", help="Error that the method calibrated allocates by.")
@click.option(
    "--data",
    "data_set",
    help="A data set of a sweep's task, or your package.module:factory, in place of --input and --classes. "
    f"{CompressionConfig.calibration_images} of its training images, without labels, are for a method that "
    "chooses by them.",
)
@click.option("--input", "shape", default="3,32,32", show_default=True, help="Shape of one input.")
@click.option(
    "--classes", type=click.IntRange(min=1), default=1000, show_default=True, help="Number of classes."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def plan(
    model: str,
    weights: str | None,
    method: str,
    data_set: str | None,
    shape: str,
    classes: int,
    as_json: bool,
    **asked: Any,
) -> None:
    """Show what a method would do to a network, without training anything."""
    size = _shape(shape)
    data = images = None
    try:
        if data_set:
            data = load(data_set, {})
            size, classes = data.input_shape, data.num_classes or classes
            images = _training_images(data)
        elif "data" in pruners.method_named(method).needs:
            raise SweepError(f"Method {method} needs --data, the images that it chooses by.")
        network = _network(model, weights, size, classes)
        asked = {name: value for name, value in asked.items() if value is not None}
        example = data.train.example() if data else torch.zeros(1, *size)
        if pruners.method_named(method).kind == "channels":
            told, text = channel_plan(network, method, example, images, data, asked)
        else:
            needed = example if asked.keys() & {"flops_ratio", *IN_TIME} else None
            chosen = pruners.plan(network, method, example=needed, data=images, **asked)
            told, text = _described(chosen), _text(chosen)
    except pruners.InfeasibleBudget as error:
        raise SweepError(str(error), INFEASIBLE) from error
    except (pruners.PrunerError, TaskError) as error:
        raise SweepError(str(error)) from error
    left = pruners.unreached(network, method)
    if as_json:
        click.echo(json.dumps(told | {"unreached": {n: asdict(one) for n, one in left.items()}}, indent=1))
    else:
        click.echo("\n".join([text, *filter(None, [pruners.unreached_sentence(method, left)])]))


def _network(model: str, weights: str | None, size: tuple[int, ...], classes: int) -> nn.Module:
    torch.manual_seed(0)
    network = networks.build(model, {}, size, classes)
    if weights:
        checkpoint.restore(network, weights)
    return network


def _training_images(data: Data) -> list[Any]:
    order = seeds.permutation(len(data.train), 0, epoch=0)[: CompressionConfig.calibration_images]
    return [inputs for inputs, _ in data.train.batches(order, _BATCH, torch.device("cpu"))]


def _shape(text: str) -> tuple[int, ...]:
    try:
        size = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise SweepError(f"--input {text}: expected whole numbers, as in 3,224,224.") from error
    if not size or min(size) < 1:
        raise SweepError(f"--input {text}: every side must be at least 1.")
    return size


def _described(chosen: pruners.Plan) -> dict[str, Any]:
    return {
        "method": chosen.method,
        "metric": chosen.metric,
        "error": chosen.error,
        "params": chosen.params,
        "budget": chosen.budget,
        "layers": {name: choice.described() for name, choice in chosen.layers.items()},
    }


def _form(choice: pruners.LayerChoice) -> str:
    """Return what a layer becomes, where that is not the usual convolution and 1 x 1."""
    form: str = choice.described().get("form", "")
    return f"  {form}, {choice.in_rank} input channels" if choice.in_rank else f"  {form}"


def _text(chosen: pruners.Plan) -> str:
    width = max((len(name) for name in chosen.layers), default=5)
    rows = [f"{'layer':<{width}}  {'rank':>5}  {'subspaces':>9}  {'params':>9}  error"]
    rows += [
        f"{n:<{width}}  {c.rank:>5}  {c.num_subspaces:>9}  {c.params:>9}  {c.error:<9.4g}{_form(c)}".rstrip()
        for n, c in chosen.layers.items()
    ]
    unit = chosen.unit.replace("_", "-")
    rows.append(
        f"{chosen.cost} of {chosen.budget} {unit}, "
        f"largest layer error {chosen.error:.4g} ({chosen.metric}); other layers stay dense"
    )
    return "\n".join(rows)
