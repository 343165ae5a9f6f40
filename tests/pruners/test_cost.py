"""Cost by hand, and BatchNorm statistics by direct computation."""

import pytest
import torch
from torch import nn

import pruners


def test_dense_cost_by_hand(network, batch):
    cost = pruners.cost(network, batch)
    conv = 2 * (64 * 12 * 4 * 9 + 16 * 12 * 4 * 9)
    assert cost.multiply_adds == conv + 2 * (192 * 30 + 30 * 10)
    assert cost.params == (432 + 12) + 24 + 432 + 24 + (5760 + 30) + (300 + 10)
    assert cost.latency_ms > 0


def test_decomposed_cost_by_hand(network, batch):
    pins = {
        "0": {"rank": 2, "num_subspaces": 2},
        "3": {"rank": 1, "num_subspaces": 1},
        "7": {"rank": 3, "num_subspaces": 4},
    }
    artifact = pruners.compress(network, keep_ratio=1.0, layers=pins, exclude=["9"])
    # groups * k * rank filters on c / (groups k) channels each, then f filters on k * rank channels of each
    # group
    first = 64 * (4 * 2 * 9) + 64 * (12 * 4)
    second = 16 * (3 * 4 * 9) + 16 * (12 * 1)
    linear = 192 * 3 + 4 * 3 * 30
    assert pruners.cost(artifact, batch).multiply_adds == 2 * (first + second + linear + 300)
    assert pruners.cost(artifact, batch).params == 12 + 24 + 24 + 30 + 310 + artifact.params - 300
    assert artifact.plan.params == 120 + 120 + (3 * (30 * 4 + 192)) + 300


def test_shared_parameters_count_once():
    layer = nn.Linear(8, 8)
    assert pruners.cost(nn.Sequential(layer, layer), torch.ones(1, 8)).params == 72


def test_cost_restores_modes(network, batch):
    network[1].train()
    before = network[1].running_mean.clone()
    pruners.cost(network, batch)
    assert network[1].training and not network[4].training
    assert torch.equal(network[1].running_mean, before)


def test_a_loaded_artifact_has_no_network(network, batch, tmp_path):
    pruners.compress(network, keep_ratio=0.5).save(tmp_path)
    with pytest.raises(pruners.PrunerError, match="no network beside it"):
        pruners.cost(pruners.load(tmp_path), batch)


def test_batchnorm_statistics_are_plain_averages():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        nn.Dropout(0.5),
        nn.ReLU(),
        nn.Conv2d(5, 4, 1),
        nn.BatchNorm2d(4, momentum=0.3),
    )
    model[2].train()
    model.eval()
    batches = [torch.randn(6, 3, 7, 7) for _ in range(3)]
    before = {n: p.clone() for n, p in model.named_parameters()}
    pruners.recalibrate_batchnorm(model, iter(batches))
    first = [model[0](b) for b in batches]
    torch.testing.assert_close(
        model[1].running_mean, torch.stack([a.mean((0, 2, 3)) for a in first]).mean(0).detach()
    )
    torch.testing.assert_close(
        model[1].running_var, torch.stack([a.var((0, 2, 3)) for a in first]).mean(0).detach()
    )
    normed = [
        nn.functional.batch_norm(a, None, None, model[1].weight, model[1].bias, training=True) for a in first
    ]
    second = [model[4](torch.relu(a)) for a in normed]
    torch.testing.assert_close(
        model[5].running_mean, torch.stack([a.mean((0, 2, 3)) for a in second]).mean(0).detach()
    )
    assert model[5].momentum == 0.3 and not model[5].training
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert not any(p.grad is not None for p in model.parameters())


def test_batchnorm_needs_batches(network):
    with pytest.raises(pruners.PrunerError, match="at least one batch"):
        pruners.recalibrate_batchnorm(network, [])
    assert network[1].momentum == 0.1


def test_networks_without_batchnorm_are_not_run():
    def never():
        raise AssertionError("a batch was asked for")
        yield

    pruners.recalibrate_batchnorm(nn.Linear(2, 2), never())


def masked(model, **kept):
    """A mask that keeps the first ``kept`` weights of each layer named, and all of the others."""
    artifact = pruners.compress(model, "magnitude", keep_ratio=1.0)
    masks = {
        n: torch.arange(m.numel()).view(m.shape) < kept.get(n.removesuffix(".weight"), m.numel())
        for n, m in artifact.masks.items()
    }
    return artifact.with_masks(masks)


def test_masked_cost_by_hand(network, batch):
    artifact = masked(network, **{"0": 100, "3": 7, "7": 1000})
    cost = pruners.cost(artifact, batch)
    assert cost.multiply_adds == 2 * (64 * 100 + 16 * 7 + 1000 + 300)
    assert cost.params == (100 + 12) + 24 + 7 + 24 + (1000 + 30) + (300 + 10)
    beside = pruners.cost(artifact.apply(network), batch, mask=artifact)
    assert (beside.params, beside.multiply_adds) == (cost.params, cost.multiply_adds)
    assert pruners.cost(masked(network), batch).multiply_adds == pruners.cost(network, batch).multiply_adds


@pytest.mark.parametrize("make", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d])
def test_all_weights_of_a_convolution_are_all_its_multiply_adds(make):
    layer = make(6, 9, 3, stride=2, groups=3)
    example = torch.ones(2, 6, *[7] * (layer.weight.dim() - 2))
    each = pruners.cost(layer, example).multiply_adds // layer.weight.numel()
    half = layer.weight.numel() // 2
    artifact = pruners.compress(layer, "random", budget=half)
    assert pruners.cost(artifact, example).multiply_adds == each * half > 0


def test_a_weight_that_layers_share_is_multiplied_in_each():
    layer, embedding = nn.Linear(8, 8, bias=False), nn.Embedding(8, 8)
    embedding.weight = layer.weight
    model = nn.Sequential(embedding, layer, nn.ReLU(), layer)
    cost = pruners.cost(pruners.compress(model, "magnitude", budget=10), torch.tensor([3, 4, 5]))
    assert (cost.params, cost.multiply_adds) == (10, 3 * 2 * 10)


def test_a_mask_of_another_network_is_refused(network, batch):
    with pytest.raises(pruners.BadArtifact, match=r"'0\.weight'"):
        pruners.cost(nn.Sequential(nn.Flatten(), nn.Linear(256, 4)), batch, mask=masked(network))
