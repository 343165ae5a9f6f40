"""The sweep files of the papers' own experiments say what the papers, or their authors' code, say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

import trainables
from trainables.config import TaskConfig, TrainingConfig
from trainables.schedule import factor

PAPERS = Path(trainables.__file__).parents[1] / "sweeps/configs/papers"


@dataclass(frozen=True)
class Paper:
    """What a paper trains: a network by its parameters, and how; ``lr`` in the first half, the third and the last quarter."""

    parameters: int
    optimizer: str
    batch_size: int
    lr: Sequence[float]
    weight_decay: float
    epochs: float


DROPS = (0.1, 0.01, 0.001)
LOTTERY_2020 = ("sgd", 128, DROPS, 1e-4, 63_000 * 128 / 50_000)
RECIPES = {
    "grasp_vgg19_cifar10": Paper(20_035_018, "sgd", 128, DROPS, 5e-4, 160),
    "grasp_vgg19_cifar100": Paper(20_081_188, "sgd", 128, DROPS, 5e-4, 160),
    "grasp_resnet32_cifar10": Paper(1_860_522, "sgd", 128, DROPS, 1e-4, 160),
    "grasp_resnet32_cifar100": Paper(1_872_132, "sgd", 128, DROPS, 1e-4, 160),
    "lottery_resnet20_cifar10": Paper(272_474, *LOTTERY_2020),
    "lottery_vgg16_cifar10": Paper(14_724_042, *LOTTERY_2020),
    "lottery_conv2_cifar10": Paper(4_301_642, "adam", 60, (2e-4, 2e-4, 2e-4), 0, 20_000 * 60 / 45_000),
    "lottery_conv4_cifar10": Paper(2_425_930, "adam", 60, (3e-4, 3e-4, 3e-4), 0, 25_000 * 60 / 45_000),
    "lottery_conv6_cifar10": Paper(2_262_602, "adam", 60, (3e-4, 3e-4, 3e-4), 0, 30_000 * 60 / 45_000),
}


def recipe(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PAPERS / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def test_the_table_holds_every_recipe() -> None:
    assert sorted(path.stem for path in PAPERS.iterdir()) == sorted(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_network_and_training_are_the_papers(name: str) -> None:
    content, paper = recipe(name), RECIPES[name]
    stand_in = f"tests.sweeps.stand_in:{content['task']['data']}"
    network = trainables.build_network(TypeAdapter(TaskConfig).validate_python(content["task"] | {"data": stand_in}))
    assert sum(parameter.numel() for parameter in network.parameters()) == paper.parameters
    training = TypeAdapter(TrainingConfig).validate_python(content["training"])
    assert (training.optimizer, training.batch_size, training.weight_decay) == (paper.optimizer, paper.batch_size, paper.weight_decay)
    shares = (0, 79.9, 80, 119.9, 120, 159.9) if training.schedule.milestones else (0, 0, 1, 1, 2, 2)
    lr = [training.lr * factor(training.schedule, position, training.epochs) for position in shares]
    assert lr == pytest.approx([rate for rate in paper.lr for _ in range(2)])
    assert training.epochs == pytest.approx(paper.epochs, rel=0.02)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("grasp")])
def test_grasp_prunes_to_the_papers_sparsities(name: str) -> None:
    parameters = recipe(name)["parameters"]
    assert [round(1 - kept, 9) for kept in parameters["budget.keep_ratio"]["values"]] == [0.9, 0.95, 0.98]
    assert {"grasp", "snip", "random"} == set(parameters["compression.method"]["values"])
    assert recipe(name)["compression"]["scoring_per_class"] == 10


@pytest.mark.parametrize(
    ("name", "left", "rewound"),
    [("resnet20", 0.168, {"0it", "500it", "2000it"}), ("vgg16", 0.015, {"0it", "1000it", "2000it"})],
)
def test_rewinding_goes_down_to_the_papers_sparsities(name: str, left: float, rewound: set[str]) -> None:
    content = recipe(f"lottery_{name}_cifar10")
    assert (1 - content["lottery"]["rate"]) ** content["lottery"]["levels"] == pytest.approx(left, rel=0.05)
    assert set(content["parameters"]["lottery.rewind_to"]["values"]) == rewound


@pytest.mark.parametrize(("name", "conv"), [("conv2", 0.1), ("conv4", 0.1), ("conv6", 0.15)])
def test_conv_2_4_6_are_pruned_at_the_papers_rates(name: str, conv: float) -> None:
    content = recipe(f"lottery_{name}_cifar10")
    lottery = content["lottery"]
    assert (lottery["rate"], lottery["layer_rate"]) == (0.2, {"conv": conv, "output": 0.1})
    assert lottery["rewind_to"] == "0it" and content["task"]["network_options"] == {"initialization": "glorot"}
