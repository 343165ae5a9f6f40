"""The stages that change a network without training it."""

import dataclasses
import warnings
from typing import Any

from torch import Tensor, nn

import pruners
from pruners.calibration.calibration import calibration_kept
from pruners.network.copying import copied
from pruners.network.layer_names import named_parameters
from trainables import seeds
from trainables.errors import TaskError
from trainables.execution.compression import scoring_batch
from trainables.execution.compression.stored_calibration import StoredCalibration
from trainables.execution.compression.stored_tables import StoredTables
from trainables.execution.compression.training_images import first_batches
from trainables.execution.network import Network, in_order
from trainables.execution.trial_setting import TrialSetting
from trainables.stages import Compress, RecalibrateBN, Reinitialize
from trainables.task.task import build_network
from trainables.users_code.methods import method_named

_CONTROLS = {"shuffle": pruners.shuffle, "random": pruners.random_mask}


def compress(network: Network, stage: Compress, setting: TrialSetting, seed: int) -> Network:
    """Compress a copy of ``network``, further where it is masked already; raises as `chosen`."""
    artifact = chosen(network, stage, setting, seed)
    return Network(artifact.apply(network.module), artifact, trained_with=network.trained_with)


def chosen(network: Network, stage: Compress, setting: TrialSetting, seed: int) -> pruners.Artifact:
    """Return what ``stage`` makes of ``network``, not applied yet.

    Raises `pruners.PrunerError` for an unknown method or a budget that cannot be met.
    """
    arguments = stage.method_options() | stage.budget.keywords() | _needed(stage, setting, seed)
    if stage.calibration_images:
        arguments["data"] = _calibration(network, stage, setting, seed)
    if isinstance(network.artifact, pruners.Mask):
        arguments["mask"] = network.artifact
    with warnings.catch_warnings():
        # of weights outside the budget the study tells once, not every trial
        warnings.simplefilter("ignore", pruners.UnreachedWarning)
        artifact = pruners.compress(network.module, stage.method, seed=seed, **arguments)
    if stage.control:
        mask = mask_of(Network(network.module, artifact), f"control {stage.control}")
        return _CONTROLS[stage.control](mask, seeds.derive(seed, "control"))
    return artifact


def projected_back(network: Network) -> Network:
    """Make of a compressed network one of the dense network's shape that computes the same."""
    assert network.artifact is not None
    return Network(network.artifact.project_back(network.module), trained_with=network.trained_with)


def projected_weights(
    module: nn.Module, stage: Compress, setting: TrialSetting, seed: int
) -> dict[str, Tensor]:
    """Return the weights that compressing a dense network leaves it with, in its own shape.

    By parameter name, those of all layers that could be decomposed; of one that stays dense its own.
    """
    back = projected_back(compress(Network(module), stage, setting, seed))
    shape, parameters = pruners.NetworkShape(module), named_parameters(back.module)
    excluded = shape.named_by(stage.options.get("exclude", ()), "exclude")
    names = [f"{name}.weight".lstrip(".") for name in shape.layers if name not in excluded]
    return {name: parameters[name].detach() for name in names}


def with_weights_of(network: Network, other: Network) -> Network:
    """Put the weights of ``other``, a dense network, under the mask of ``network``."""
    mask = mask_of(network, "rewinding")
    bare = mask.with_masks(mask.masks)
    return Network(
        bare.apply(other.module), bare, trained_with=in_order(*network.trained_with, *other.trained_with)
    )


def reinitialized(network: Network, stage: Reinitialize, setting: TrialSetting, seed: int) -> Network:
    """Put the mask of ``network`` on weights that its factory draws anew."""
    fresh = build_network(
        dataclasses.replace(setting.task, checkpoint=None), seeds.derive(seed, "reinitialise", stage.draw)
    )
    return with_weights_of(network, Network(fresh.to(setting.device)))


def adopted(source: Network, setting: TrialSetting, seed: int) -> Network:
    """Build the setting's own network with every parameter, buffer and mask of ``source`` that fits it."""
    mask, module = mask_of(source, "a transfer"), build_network(setting.task, seed).to(setting.device)
    own = module.state_dict()
    moved = {n: t for n, t in source.module.state_dict().items() if n in own and own[n].shape == t.shape}
    module.load_state_dict(own | moved)
    fitting = {name: layer for name, layer in mask.prunable.items() if layer.parameter in moved}
    masks = {layer.parameter: mask.masks[layer.parameter] for layer in fitting.values()}
    artifact = pruners.Mask(mask.method, mask.options, fitting, masks)
    return Network(artifact.apply(module), artifact, trained_with=source.trained_with)


def mask_of(network: Network, what: str) -> pruners.Mask:
    """Return the mask of a pruned network. Raises `TaskError` for one without, saying ``what`` needs it."""
    artifact = network.artifact
    if not isinstance(artifact, pruners.Mask):
        method = artifact.method if artifact else "none"
        raise TaskError(f"{what} belongs to methods that remove single weights; method {method} does not.")
    return artifact


def recalibrate(network: Network, stage: RecalibrateBN, setting: TrialSetting, seed: int) -> Network:
    """Estimate BatchNorm's statistics of a copy of ``network`` on ``stage.images`` training images, not
    augmented.
    """
    module = copied(network.module)
    pruners.recalibrate_batchnorm(
        module, [inputs for inputs, _ in first_batches(setting, seed, stage.images)]
    )
    return Network(module, network.artifact, trained_with=network.trained_with)


def _needed(stage: Compress, setting: TrialSetting, seed: int) -> dict[str, Any]:
    """Return the arguments that the method, or a budget in multiply-adds or time, makes use of."""
    needs = method_named(stage.method).needs
    needed: dict[str, Any] = {}
    if "example" in needs or stage.budget.flops_ratio is not None:
        needed["example"] = setting.example()
    if stage.budget.latency_ratio is not None:
        needed["example"] = setting.timed_batch()
        needed["latency_table"] = StoredTables(setting.store, setting.trainer)
    if "data" in needs and not stage.calibration_images:
        needed["data"] = [scoring_batch.sample(setting.data, stage.scoring_per_class, seed, setting.device)]
    if "loss" in needs:
        needed["loss"] = setting.scoring_loss()
    return needed


def _calibration(network: Network, stage: Compress, setting: TrialSetting, seed: int) -> StoredCalibration:
    """Return calibration images with ``network``, the same again for the same network and images."""
    identity = setting.task_identity
    fresh = StoredCalibration(
        network.module,
        [inputs for inputs, _ in first_batches(setting, seed, stage.calibration_images)],
        setting.store,
        architecture={part: identity[part] for part in ("network", "network_options", "sources")},
        owner=setting.trainer,
    )
    kept = calibration_kept(network.module)
    return kept if isinstance(kept, StoredCalibration) and kept.same_as(fresh) else fresh
