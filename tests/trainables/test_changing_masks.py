"""Masks that change while training, step by step: against numpy, and what holds whatever is drawn."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

import pruners
from tests.trainables import mlp_by_hand
from tests.trainables.configs import trial
from tests.trainables.mlp_by_hand import PLAN, SEED, STEPS_PER_EPOCH, TRAINING, ByHand, all_steps
from trainables import seeds
from trainables.config import BudgetConfig
from trainables.execution.changing_masks import begun, changing_mask
from trainables.execution.network import Network
from trainables.execution.trial_setting import TrialSetting
from trainables.stages import Compress, DropAndGrow, Gradual, Train
from trainables.training import optimizer
from trainables.training.changing_masks.changing_mask import ChangingMask
from trainables.training.changing_masks.drop_and_grow import dropped_and_grown
from trainables.training.loop import train

CPU, WHOLE = torch.device("cpu"), TRAINING.epochs * STEPS_PER_EPOCH
WEIGHTS = 6 * 8 + 8 * 5 + 5 * 3
Check = Callable[[int, ChangingMask, nn.Module, torch.optim.Optimizer], None]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> TrialSetting:
    return TrialSetting.of(trial(tmp_path_factory.mktemp("trial")))


def trained(
    setting: TrialSetting,
    changing: Gradual | DropAndGrow,
    mask: pruners.Mask | None,
    check: Check,
    training: Any = TRAINING,
) -> nn.Module:
    """Train the small network under a mask that changes; ``check`` looks after every step."""
    module = mlp_by_hand.network()
    stage = Train(0, WHOLE, WHOLE, changing=changing)
    network = begun(Network(mask.apply(module) if mask else module, mask), stage, setting, SEED)
    optimiser = optimizer.make(network.module, training)
    changes = changing_mask(network, optimiser, stage, setting, SEED)
    assert changes is not None
    for epoch in range(TRAINING.epochs):
        first, last = epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH

        def look(step: int) -> Callable[[], None]:
            return lambda: check(step, changes, network.module, optimiser)

        reached = {step: look(step) for step in range(first + 1, last + 1)}
        loss = nn.functional.cross_entropy
        train(network.module, optimiser, mlp_by_hand.split(), loss, PLAN, first, last, CPU, changes, reached)
    return network.module


def agrees(state: ByHand, module: nn.Module, changes: ChangingMask) -> None:
    masks = list(changes.artifact.masks.values())
    for layer, place in enumerate((0, 2, 4)):
        weight, kept = module.get_submodule(str(place)).weight.detach().numpy(), masks[layer].numpy()
        assert np.array_equal(kept, state.masks[layer])
        assert (weight[~kept] == 0).all()
        np.testing.assert_allclose(weight[kept], state.weights[layer][kept], rtol=1e-9, atol=1e-12)


def highest(values: NDArray[Any], count: int) -> NDArray[np.bool_]:
    marked = np.zeros(values.size, dtype=bool)
    marked[np.argsort(-values.ravel(), kind="stable")[:count]] = True
    return marked.reshape(values.shape)


@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_a_moving_mask_is_that_of_a_loop_by_hand(setting: TrialSetting, grow: Any) -> None:
    alpha, every, stop = 0.5, 4, 22
    module = mlp_by_hand.network()
    mask = pruners.compress(module, "random", keep_ratio=0.4, allocation="erk", seed=3)

    def each(step: int, state: ByHand, inputs: Any, labels: Any) -> None:
        gradients = state.gradients(inputs, labels)
        if step >= stop or step % every:
            return state.step(gradients)
        share = alpha / 2 * (1 + math.cos(math.pi * step / stop))
        random = seeds.generator(SEED, "grow", step)
        for layer, kept in enumerate(state.masks):
            worth = np.abs(gradients[0][layer])
            if grow == "random":
                worth = torch.rand(kept.shape, generator=random).numpy()
            moving = math.floor(share * kept.sum())
            stay = highest(np.where(kept, np.abs(state.weights[layer]), -1), int(kept.sum()) - moving)
            new = stay | highest(np.where(stay, -1, worth), moving)
            state.weights[layer] = np.where(new & kept, state.weights[layer], 0)
            state.put(layer, new)
        return None

    by_hand = ByHand.of(mask.apply(module), [kept.numpy() for kept in mask.masks.values()])
    expected, moved, before = all_steps(by_hand, each), 0, dict(mask.masks)

    def check(step: int, changes: ChangingMask, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        nonlocal moved, before
        agrees(expected[step - 1], module, changes)
        now = changes.artifact.masks
        moved += any(not torch.equal(now[name], before[name]) for name in now)
        before = now

    trained(setting, DropAndGrow(grow, alpha, every, stop), mask, check)
    assert moved >= 5  # the last time there is less than one weight to move


@pytest.mark.parametrize("grow", ["gradient", "random"])
@pytest.mark.parametrize("name", ["sgd", "adamw", "torch.optim.RMSprop"])
def test_counts_stay_and_what_is_not_there_is_zero_at_every_step(
    setting: TrialSetting, grow: Any, name: str
) -> None:
    mask = pruners.compress(mlp_by_hand.network(), "random", keep_ratio=0.3, allocation="layerwise")
    counts = {name: int(kept.sum()) for name, kept in mask.masks.items()}
    training, before = TRAINING.__class__(10, 16, name, 0.01, weight_decay=1e-2), dict(mask.masks)

    def check(step: int, changes: ChangingMask, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        nonlocal before
        now = changes.artifact.masks
        assert {name: int(kept.sum()) for name, kept in now.items()} == counts
        for name, parameter in module.named_parameters():
            if name not in now:
                continue
            moments = [
                moment
                for moment in optimiser.state.get(parameter, {}).values()
                if isinstance(moment, torch.Tensor) and moment.shape == parameter.shape
            ]
            grown = now[name] & ~before[name]
            for values in (parameter.detach(), *moments):
                assert not values[~now[name]].any() and not values[grown].any()
        before = now

    trained(setting, DropAndGrow(grow, 0.4, 5, 25), mask, check, training)


def test_a_layer_that_takes_no_gradient_keeps_its_mask(setting: TrialSetting) -> None:
    module = mlp_by_hand.network()
    mask = pruners.compress(module, "random", keep_ratio=0.3, allocation="layerwise")
    module[2].weight.requires_grad_(False)
    changing = DropAndGrow("random", 0.5, 1, 10)
    network = Network(mask.apply(module), mask)
    optimiser = optimizer.make(network.module, TRAINING)
    changes = changing_mask(network, optimiser, Train(0, 10, 10, changing=changing), setting, SEED)
    train(
        network.module,
        optimiser,
        mlp_by_hand.split(),
        nn.functional.cross_entropy,
        PLAN,
        0,
        3,
        CPU,
        changes,
    )
    same = [torch.equal(changes.artifact.masks[name], mask.masks[name]) for name in mask.masks]
    assert same == [False, True, False]


@st.composite
def layers(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    size = draw(st.integers(1, 30))
    values = st.lists(st.integers(-3, 3), min_size=size, max_size=size)
    weight, worth = (torch.tensor(draw(values), dtype=torch.float32) for _ in range(2))
    kept = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    return weight.masked_fill(~kept, 0), kept, worth.abs()


@settings(max_examples=150, deadline=None)
@given(layers(), st.floats(0, 1))
def test_as_many_grow_as_drop_whatever_the_layer(drawn: tuple[torch.Tensor, ...], share: float) -> None:
    weight, kept, worth = drawn
    new = dropped_and_grown(weight, kept, share, worth)
    count = int(kept.sum())
    moving = math.floor(share * count)
    assert int(new.sum()) == count and new.shape == kept.shape
    grown, gone = new & ~kept, kept & ~new
    assert int(grown.sum()) == int(gone.sum()) <= moving
    if gone.any():
        smallest_first = weight.abs()[kept].sort().values
        assert weight.abs()[gone].max() <= smallest_first[moving - 1]
        assert worth[gone].max() <= worth[grown].min()
        assert all(worth[~kept & ~new] <= worth[grown].min())


def test_a_gradual_mask_is_that_of_a_loop_by_hand(setting: TrialSetting) -> None:
    begin, end, every, keep = 3, 24, 4, 0.6
    module = mlp_by_hand.network()

    def kept_at(step: int) -> int:
        """Zhu & Gupta's equation 1, in fractions."""
        done = Fraction(step - begin, end - begin)
        sparsity = Fraction("0.4") - Fraction("0.4") * (1 - done) ** 3
        return math.ceil((1 - sparsity) * WEIGHTS)

    draws = [7, 11, 15, 19, 23, 24]
    came_back = 0

    def each(step: int, state: ByHand, inputs: Any, labels: Any) -> None:
        nonlocal came_back
        state.step(state.gradients(inputs, labels))
        if step + 1 in draws:
            marked = highest(
                np.concatenate([np.abs(weight).ravel() for weight in state.weights]), kept_at(step + 1)
            )
            parts = np.split(marked, np.cumsum([weight.size for weight in state.weights])[:-1])
            for layer, part in enumerate(parts):
                new = part.reshape(state.masks[layer].shape)
                came_back += int((new & ~state.masks[layer]).sum())
                state.put(layer, new)

    full = [np.ones(module[place].weight.shape, dtype=bool) for place in (0, 2, 4)]
    expected = all_steps(ByHand.of(module, full), each)
    counts = []

    def check(step: int, changes: ChangingMask, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        agrees(expected[step - 1], module, changes)
        counts.append(changes.artifact.params)

    compress = Compress("magnitude", BudgetConfig(keep_ratio=keep))
    trained(setting, Gradual(compress, begin, end, every), None, check)
    last = [max((draw for draw in draws if draw <= step), default=begin) for step in range(1, WHOLE + 1)]
    assert counts == [kept_at(step) for step in last]
    assert counts[-1] == math.ceil(keep * WEIGHTS) and came_back


@pytest.mark.filterwarnings("ignore::pruners.PrunerWarning")
@settings(max_examples=20, deadline=None)
@given(
    begin=st.integers(0, 20),
    length=st.integers(1, 40),
    every=st.integers(3, 25),
    budget=st.one_of(
        st.integers(1, 1000).map(lambda n: BudgetConfig(keep_ratio=n / 1000)),
        st.integers(1, WEIGHTS).map(lambda n: BudgetConfig(parameters=n)),
    ),
    own=st.one_of(st.none(), st.integers(1, 100)),
)
def test_counts_follow_the_schedule_whatever_it_is(
    setting: TrialSetting, begin: int, length: int, every: int, budget: BudgetConfig, own: int | None
) -> None:
    """The formula at every step; a layer with a share of its own follows the same curve."""
    shares = {"0": own / 100} if own and budget.keep_ratio else {}
    end, free = begin + length, WEIGHTS - 48 if shares else WEIGHTS
    compress = Compress("magnitude", budget, {"layer_keep_ratio": shares} if shares else {})
    stage = Train(0, 100, 100, changing=Gradual(compress, begin, end, every))
    network = begun(Network(mlp_by_hand.network()), stage, setting, SEED)
    changes = changing_mask(network, optimizer.make(network.module, TRAINING), stage, setting, SEED)
    final = Fraction(str(budget.keep_ratio)) if budget.keep_ratio else Fraction(budget.parameters, WEIGHTS)
    drawn = begin
    for step in range(end + 3):
        changes.after(step)
        if step == end or (begin < step < end and (step - begin) % every == 0):
            drawn = step
        left = (1 - Fraction(drawn - begin, length)) ** 3
        expected = math.ceil(free * (final + (1 - final) * left))
        if shares:
            share = Fraction(own, 100)
            expected += math.ceil(48 * (share + (1 - share) * left))
        assert changes.artifact.params == expected
        weights = list(network.module.parameters())[::2]
        kept = changes.artifact.masks.values()
        assert all(not weight[~mask].any() for weight, mask in zip(weights, kept, strict=True))
