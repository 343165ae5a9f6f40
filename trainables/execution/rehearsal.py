"""A trial's first moves on one batch, before anything is trained: what fails in every trial fails here."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

import pruners
from pruners.network.copying import copied
from pruners.network.inputs import forward, move_inputs
from pruners.quantization.int8 import Activations
from trainables import seeds
from trainables.config import BudgetConfig, DistillationConfig, Int8
from trainables.errors import Refused, TaskError
from trainables.execution.compression import compressing
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting
from trainables.stages import Compress, Recipe, Train
from trainables.task.data.data_checks import check_data
from trainables.task.data.splits import Batch, Split, TensorSplit
from trainables.task.task import build_network
from trainables.training.augment import augment_batch
from trainables.training.distillation import Distillation
from trainables.training.evaluation import evaluate
from trainables.training.optimizer import make
from trainables.training.update import masked_parameters, update
from trainables.users_code.factory import describe
from trainables.users_code.methods import method_named

_BATCH = 4


def rehearse(setting: TrialSetting, compress: Compress, recipe: Recipe, int8: Int8 = "none") -> None:
    """Train the network and what ``compress`` makes of it for one step on one small batch, and evaluate both;
    all of it is thrown away.

    A ``recipe`` that trains nothing, of a checkpoint say, is evaluated only. With ``int8`` activations static
    or dynamic the small network is made int8, too.

    Raises `Refused` with the key to blame: data with inputs that are no numbers or labels that are no
    classes, a network that fails in train or in eval mode, a loss that gives no scalar with a gradient, an
    optimiser that refuses its settings, a method that fails on this network.
    """
    check_data(setting.data, setting.task)
    trainings = [stage for stage in recipe if isinstance(stage, Train)]
    distilled = next((stage.distillation for stage in trainings if stage.distillation), None)
    with seeds.own_random_numbers(setting.device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is emptied or left out here is not what the trial will leave
        seeds.seed_everything(0, "rehearsal", 0, setting.device)
        batch, held_out = _batch(setting, setting.data.train), _batch(setting, setting.data.validation)
        network = Network(build_network(setting.task).to(setting.device))
        _try_out(setting, network, batch if trainings else None, held_out)
        if distilled:
            _check_distillation(network.module, distilled, batch)
        few = replace(setting.data, train=_OneBatch(batch, setting.data.train))
        with TemporaryDirectory() as store:
            small = _compressed(network, compress, replace(setting, data=few, store=Path(store)))
        _try_out(setting, small, batch if trainings else None, held_out)
        if int8 != "none":
            _check_int8(setting, small.module, int8, held_out)


class _OneBatch(Split):
    """A batch in a split's place: whatever is asked for, this is what comes."""

    def __init__(self, batch: Batch, split: Split):
        self._batch, self._split = batch, split

    def __len__(self) -> int:
        return len(self._batch[1])

    def first(self) -> Batch:
        """Return the first example of the split that this stands for, as a batch."""
        return self._split.first()

    def batches(self, order: Tensor, batch_size: int, device: torch.device, seed: int = 0) -> Iterator[Batch]:
        """Yield the one batch, whatever is asked for."""
        yield self._batch


def _batch(setting: TrialSetting, split: Split) -> Batch:
    """Draw a few examples; of labels in memory the least and the largest are among them, whatever a user's
    own loss makes of these.
    """
    size = min(len(split), setting.training.batch_size, _BATCH)
    order = seeds.permutation(len(split), 0, 0)[:size]
    if isinstance(split, TensorSplit) and split.labels.dim() == 1 and size > 2:
        order[-2], order[-1] = split.labels.argmin(), split.labels.argmax()
    return next(iter(split.batches(order, size, setting.device)))


def _compressed(network: Network, compress: Compress, setting: TrialSetting) -> Network:
    try:
        budget = _untimed(network, compress, setting)
        stage = replace(compress, options=_quick(compress), control=None, budget=budget)
        return compressing.compress(network, stage, setting, 0)
    except Exception as error:
        said = str(error) if isinstance(error, pruners.PrunerError | TaskError) else f"{describe(error)}."
        raise Refused(
            ("compression",), f"compression: method {compress.method} fails on one batch: {said}"
        ) from error


def _untimed(network: Network, compress: Compress, setting: TrialSetting) -> BudgetConfig:
    """Return the budget; in place of one in time, for which layers would be measured, one of weights."""
    if compress.budget.latency_ratio is None:
        return compress.budget
    options = compress.method_options()
    example = setting.example()
    least = pruners.least_budget(network.module, method=compress.method, example=example, **options)
    return BudgetConfig(keep_ratio=max(0.5, least))


def _quick(compress: Compress) -> dict[str, Any]:
    """Return the options of a compression that is made to be looked at, which leave the same kind of network.

    One round instead of a hundred, and no curve of every layer.
    """
    options = compress.options
    if method_named(compress.method).kind == "mask":
        options = {**options, "rounds": 1}
        if options.get("allocation") == "measured":
            options = {name: value for name, value in options.items() if name not in ("allocation", "scale")}
    return options


def _try_out(setting: TrialSetting, network: Network, batch: Batch | None, held_out: Batch) -> None:
    """Train a copy of ``network`` for one step, where there is a batch for it, and evaluate it once."""
    artifact = network.artifact
    which = f"network {setting.task.network}" + (f", compressed by {artifact.method}," if artifact else "")
    to_blame = ("compression", "method") if artifact else ("task", "network")
    module = copied(network.module)
    if batch:
        _trained(setting, replace(network, module=module.train()), batch, which, to_blame)
    _evaluated(setting, module.eval(), held_out, which, to_blame)


def _trained(
    setting: TrialSetting, network: Network, batch: Batch, which: str, to_blame: tuple[str, ...]
) -> None:
    module, artifact, (inputs, labels) = network.module, network.artifact, batch
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise Refused(to_blame, f"{which} has no trainable parameter.")
    if setting.training.augment:
        random = seeds.generator(0, "augment", 0)
        inputs, labels = augment_batch(
            inputs, labels, setting.training.augment, random, setting.data.labels_nothing
        )
    criterion = setting.training_loss()
    outputs = _called(to_blame, f"{which} fails in train mode", lambda: forward(copied(module), inputs))
    value = _called(
        ("task", "loss"),
        f"loss {setting.task.loss} fails on {_shapes(outputs, labels)}",
        lambda: criterion(outputs, labels),
    )
    _check_value(setting, value, outputs, labels, is_dense=artifact is None)
    try:
        optimizer = make(module, setting.training)
    except TaskError as error:
        raise Refused(("training", "optimizer"), str(error)) from error
    masked = masked_parameters(module, artifact.masks) if isinstance(artifact, pruners.Mask) else ()
    step = (
        f"{which} cannot be trained with optimizer {setting.training.optimizer} and loss {setting.task.loss}"
    )
    _called(
        to_blame,
        step,
        lambda: update(module, optimizer, criterion, (inputs, labels), setting.training, masked),
    )


def _check_distillation(module: nn.Module, distilled: DistillationConfig, batch: Batch) -> None:
    outputs = forward(module.eval(), batch[0])
    try:
        Distillation(module, distilled).loss(torch.zeros(()), outputs, batch[0])
    except TaskError as error:
        raise Refused(("compression", "distillation"), str(error)) from error


def _check_int8(setting: TrialSetting, module: nn.Module, activations: Activations, held_out: Batch) -> None:
    try:
        made = pruners.quantize(module, [held_out], activations)
    except pruners.PrunerError as error:
        raise Refused(("compression", "int8"), f"compression.int8: {error}") from error
    on_cpu = setting.on_cpu()
    batch = move_inputs(held_out[0], on_cpu.device), held_out[1].to(on_cpu.device)
    _evaluated(on_cpu, made, batch, "the int8 network", ("compression", "int8"))


def _evaluated(
    setting: TrialSetting, module: nn.Module, held_out: Batch, which: str, to_blame: tuple[str, ...]
) -> None:
    split = _OneBatch(held_out, setting.data.validation)
    with torch.no_grad():
        _called(to_blame, f"{which} fails in eval mode", lambda: forward(module, held_out[0]))
    judged = f"{which} cannot be evaluated with loss {setting.task.loss} on a validation batch"
    _called(("task", "loss"), judged, lambda: evaluate(module, split, setting.loss, setting.device, {}))
    for metric in setting.metrics:
        counters = {metric.name: metric.counter(setting.data.labels_nothing)}
        judged = f"{which} cannot be evaluated with metric {metric.reference} on a validation batch"
        _called(
            ("task", "metrics"),
            judged,
            partial(evaluate, module, split, setting.loss, setting.device, counters),
        )


def _check_value(setting: TrialSetting, value: Any, outputs: Any, labels: Tensor, is_dense: bool) -> None:
    """Refuse what `backward` and the mean over steps cannot take; a compressed network not yet retrained may
    well overflow.
    """
    name, said = setting.task.loss, None
    if not isinstance(value, Tensor):
        said = f"loss {name} returns {type(value).__name__} for one batch; a scalar tensor is needed."
    elif value.dim():
        said = f"loss {name} returns a tensor of shape {tuple(value.shape)} for one batch; "
        said += "a scalar (the mean over the batch) is needed."
    elif not value.requires_grad:
        said = f"loss {name} returns a tensor without gradient; "
        said += "it must be computed from the network's outputs with torch, not detached."
    elif is_dense and not value.isfinite():
        where = f"for {_shapes(outputs, labels)}, before anything is trained."
        said = f"loss {name} is {value.item()} on the first batch, {where}"
    if said:
        raise Refused(("task", "loss"), said)


def _called(key: tuple[str, ...], sentence: str, call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns; whatever it raises becomes a `Refused`."""
    try:
        return call()
    except Exception as error:
        raise Refused(key, f"{sentence}: {describe(error)}.") from error


def _shapes(outputs: Any, labels: Any) -> str:
    said = [f"{w} of shape {tuple(t.shape)}" if isinstance(t, Tensor) else f"{w} of type {type(t).__name__}"
            for w, t in (("outputs", outputs), ("labels", labels))]  # fmt: skip
    return " and ".join(said)
