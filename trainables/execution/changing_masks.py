"""The masks that change while a stage of a recipe trains, made ready for the training loop."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch import nn

import pruners
from pruners.feasible import check_mask_feasible
from trainables.config import BudgetConfig
from trainables.execution.compression import compressing
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting
from trainables.stages import Compress, DropAndGrow, Gradual, Train
from trainables.training.changing_masks.changing_mask import ChangingMask
from trainables.training.changing_masks.drop_and_grow import MovingMask
from trainables.training.changing_masks.gradual import GradualMask, kept_share
from trainables.training.data_parallel import as_first
from trainables.training.step_plan import WHOLE, Share


def begun(network: Network, stage: Train, setting: TrialSetting, seed: int) -> Network:
    """Return the network as a training begins with it: under a mask that keeps all, where it is to be pruned
    gradually.
    """
    if not isinstance(stage.changing, Gradual):
        return network
    compress = stage.changing.compress
    # what cannot be is refused now and not when it is trained
    asked: dict[str, Any] = compress.method_options() | compress.budget.keywords()
    check_mask_feasible(network.module, compress.method, **asked)
    return replace(network, artifact=_drawn(network, compress, setting, seed, Fraction(0)))


def changing_mask(
    network: Network,
    optimizer: torch.optim.Optimizer,
    stage: Train,
    setting: TrialSetting,
    seed: int,
    share: Share = WHOLE,
) -> ChangingMask | None:
    """Return the mask of ``network``, whose weights ``optimizer`` trains, as ``stage`` changes it; None where
    it does not.

    Of processes that share the training the first draws masks, and the others have what it drew.
    """
    changing = stage.changing
    if changing is None:
        return None
    mask = compressing.mask_of(network, "a mask that changes while training")
    if isinstance(changing, DropAndGrow):
        return MovingMask(network.module, optimizer, mask, changing, seed)
    compress = changing.compress

    def draw(done: Fraction) -> pruners.Mask:
        drawn = mask if share.index else _drawn(network, compress, setting, seed, done)
        now = {name: kept.to(setting.device, torch.uint8) for name, kept in sorted(drawn.masks.items())}
        as_first(list(now.values()), share)
        return drawn if share.of == 1 else drawn.with_masks({n: now[n].bool().cpu() for n in drawn.masks})

    return GradualMask(network.module, optimizer, mask, network.removed, changing, draw)


def changed(network: Network, mask: ChangingMask | None) -> Network:
    """Return the network after it was trained under ``mask``, with the mask as it has become."""
    if mask is None:
        return network
    removed = mask.removed if isinstance(mask, GradualMask) else {}
    return replace(network, artifact=mask.artifact, removed=removed)


def _drawn(
    network: Network, stage: Compress, setting: TrialSetting, seed: int, done: Fraction
) -> pruners.Mask:
    """Draw a mask for the network's present weights with a share ``done`` of the schedule behind it."""
    at = _at(stage, network.module, done) if done < 1 else stage
    drawn = compressing.chosen(Network(network.module), at, setting, seed)
    return compressing.mask_of(Network(network.module, drawn), "gradual pruning")


def _at(stage: Compress, module: nn.Module, done: Fraction) -> Compress:
    """Return the compression with a share ``done`` of the schedule behind it.

    The budget and the share of each layer that has one of its own follow the schedule alike.
    """
    options, budget = dict(stage.options), stage.budget
    shares = options.get("layer_keep_ratio", {})
    options["layer_keep_ratio"] = {name: _share_at(share, done) for name, share in shares.items()}
    if budget.keep_ratio is not None:
        now = BudgetConfig(keep_ratio=_share_at(budget.keep_ratio, done))
    else:
        weights = sum(layer.params for layer in pruners.prunable(module, options.get("exclude", ())).values())
        share = kept_share(Fraction(budget.keywords()["budget"]) / weights, done)
        now = BudgetConfig(parameters=math.ceil(share * weights))
    return replace(stage, options=options, budget=now)


def _share_at(final: float, done: Fraction) -> float:
    """Return the share kept by then, never above the schedule's own, of which no weight is one too many."""
    exact = kept_share(Fraction(str(final)), done)
    near = float(exact)
    return near if Fraction(str(near)) <= exact else math.nextafter(near, 0)
