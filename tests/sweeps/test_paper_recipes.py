"""The sweep files of the papers' own experiments say what the papers, or their authors' code, say."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

import trainables
from sweeps import Sweep
from sweeps.search.prepare import prepare
from sweeps.study.paths import StudyPaths
from tests.sweeps import allocation_recipes
from tests.sweeps.commands import Answer
from trainables.config import TaskConfig, TrainingConfig
from trainables.training.schedule import factor
from trainables.trials.trial import run_trial

PAPERS = Path(trainables.__file__).parents[1] / "sweeps/configs/papers"


@dataclass(frozen=True)
class Paper:
    """What a paper trains, and how; ``lr`` in the first half, the third and the last quarter."""

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


Tombola = Callable[..., Answer]


def recipe(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PAPERS / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def test_the_table_holds_every_recipe() -> None:
    known = [*RECIPES, *allocation_recipes.RECIPES]
    assert sorted(path.stem for path in PAPERS.iterdir()) == sorted(known)


@pytest.mark.parametrize("name", RECIPES)
def test_network_and_training_are_the_papers(name: str) -> None:
    content, paper = recipe(name), RECIPES[name]
    stand_in = f"tests.sweeps.stand_in:{content['task']['data']}"
    network = trainables.build_network(
        TypeAdapter(TaskConfig).validate_python(content["task"] | {"data": stand_in})
    )
    assert sum(parameter.numel() for parameter in network.parameters()) == paper.parameters
    training = TypeAdapter(TrainingConfig).validate_python(content["training"])
    assert (training.optimizer, training.batch_size, training.weight_decay) == (
        paper.optimizer,
        paper.batch_size,
        paper.weight_decay,
    )
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
    assert lottery["rewind_to"] == "0it" and content["task"]["network_options"] == {
        "initialization": "glorot"
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_counts_the_papers_epochs(tombola: Tombola, name: str) -> None:
    answer = tombola("run", str(PAPERS / f"{name}.yaml"), "--dry-run", "--set", on_the_stand_in(name))
    assert (answer.exit_code, answer.stderr) == (0, "")
    [shared] = re.findall(r"epochs: ([\d,.]+) with nothing trained twice", answer.stdout)
    assert float(shared.replace(",", "")) == pytest.approx(epochs_needed(recipe(name)), rel=1e-5)


def epochs_needed(content: dict[str, Any]) -> float:
    """Epochs of a recipe with nothing trained twice, counted by hand."""
    epochs, seeds = content["training"]["epochs"], content["replicates"]
    if content["trainable"] == "prune_at_init":
        return float(seeds * epochs * (1 + content["run_cap"]))  # the dense network, and every trial
    levels = content["lottery"]["levels"]
    if "parameters" not in content:
        return float(
            seeds * epochs * (1 + 2 * levels)
        )  # the dense network; a ticket and its re-initialisation
    steps_per_epoch = 352
    rewound = [
        int(text.removesuffix("it")) / steps_per_epoch
        for text in content["parameters"]["lottery.rewind_to"]["values"]
    ]
    late = sum(
        3 * (epochs - start) for start in rewound
    )  # a ticket in two orders of the images, and a random mask
    fresh = epochs * (
        1 + len(rewound) * (levels - 1)
    )  # re-initialised; the first level's mask is the same for all rewind points
    return float(seeds * (2 * epochs + levels * late + fresh))


@pytest.mark.parametrize("name", RECIPES)
def test_a_few_steps_on_the_stand_in(tmp_path: Path, name: str) -> None:
    shorter = [
        "training.epochs=1",
        "task.data_options={train: 10, other: 5}",
        "replicates=1",
        "resources.gpus=0",
    ]
    if name.startswith("lottery"):
        shorter += ["lottery.levels=1", "lottery.stability=false", "lottery.controls=[]"]
    if name in ("lottery_resnet20_cifar10", "lottery_vgg16_cifar10"):
        shorter.append("parameters.lottery.rewind_to.values=[0it]")
    prepared = prepare(Sweep.from_file(PAPERS / f"{name}.yaml", [on_the_stand_in(name), *shorter]))
    first = {key: values["values"][0] for key, values in recipe(name).get("parameters", {}).items()}
    told = run_trial(replace(prepared.trial_config("0", first, StudyPaths(tmp_path)), dense_reference=False))
    assert "failed" not in told, told
    assert told["compress/density"] == pytest.approx(
        first.get("budget.keep_ratio", told["compress/density"]), abs=1e-4
    )
    assert math.isfinite(told["train/loss"]) and told["step"] >= 1


def on_the_stand_in(name: str) -> str:
    return f"task.data=tests.sweeps.stand_in:{recipe(name)['task']['data']}"
