"""What the papers on allocating a budget over layers train, and how; by the recipe's name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Allocation:
    """A recipe: weights and biases of the dense network, batch, decay, the learning rate from an epoch on,
    epochs of training and retraining, trials, baselines, seeds, Nesterov's momentum.
    """

    parameters: int
    batch_size: int
    weight_decay: float
    lr: dict[float, float]
    epochs: int
    retrain_epochs: int
    trials: int
    baselines: int = 0
    seeds: int = 3
    nesterov: bool = False
    retrainings: int = 0
    """Where the trials of a cascade are retrained once a step, how often all of them are together."""


def _balf(parameters: int) -> Allocation:
    return Allocation(parameters, 128, 1e-4, {0: 0.1, 80: 0.01, 120: 1e-3, 160: 1e-4}, 200, 0, 36)


def _trained(parameters: int) -> Allocation:
    return Allocation(parameters, 256, 0, {}, 0, 0, 24, seeds=1)


_IMAGENET = (256, 1e-4, {5: 0.1, 30: 0.01, 60: 1e-3, 80: 1e-4}, 90, 90)
RECIPES = {
    "alds_resnet20_cifar10": Allocation(272_474, 128, 1e-4, {5: 0.1, 91: 0.01, 136: 1e-3}, 182, 182, 140),
    "alds_ablation_resnet20_cifar10": Allocation(
        272_474, 128, 1e-4, {5: 0.1, 91: 0.01, 136: 1e-3}, 182, 0, 120
    ),
    "alds_vgg16_cifar10": Allocation(
        14_724_042, 256, 5e-4, {10: 0.05, 30: 0.025, 299: 0.05 / 2**9}, 300, 300, 140
    ),
    "alds_densenet22_cifar10": Allocation(
        71_686, 64, 1e-4, {10: 0.1, 150: 0.01, 225: 1e-3}, 300, 300, 98, nesterov=True
    ),
    "alds_wrn16_8_cifar10": Allocation(
        10_961_370, 128, 5e-4, {5: 0.1, 60: 0.02, 120: 4e-3, 160: 8e-4}, 200, 200, 140, nesterov=True
    ),
    "alds_resnet18_imagenet": Allocation(11_689_512, *_IMAGENET, 70),
    "alds_cascade_resnet18_imagenet": Allocation(11_689_512, *_IMAGENET, 24, seeds=1, retrainings=12 * 4),
    "alds_cascade_alexnet_imagenet": Allocation(61_110_184, *_IMAGENET, 12, seeds=1, retrainings=6 * 4),
    "alds_mobilenetv2_imagenet": Allocation(
        3_504_872, 768, 4e-5, {0: 0.045, 1: 0.0441, 299.5: 0.045 * 0.98**299}, 300, 300, 35, seeds=1
    ),
    "alds_deeplabv3_voc": Allocation(
        42_004_074, 16, 1e-4, {0: 0.02, 22.5: 0.02 * 0.5**0.9, 44.9: 0.02 * (0.1 / 45) ** 0.9}, 45, 45, 70
    ),
    "balf_resnet20_cifar10": _balf(269_722),
    "balf_resnet56_cifar10": _balf(853_018),
    "balf_resnet18_imagenet": _trained(11_689_512),
    "balf_resnet50_imagenet": _trained(25_557_032),
    "balf_mobilenetv2_imagenet": _trained(3_504_872),
    "modelopt_resnet20_cifar10": Allocation(269_722, 128, 1e-4, {0: 0.1, 60: 0.05}, 120, 120, 4, baselines=2),
}
