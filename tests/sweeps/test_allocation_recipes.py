"""The sweep files of papers on allocating a budget say what the papers, or their authors' code, say."""

import itertools
import math
import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter

import trainables
from sweeps import Sweep
from sweeps.search.prepare import prepare
from sweeps.study.paths import StudyPaths
from tests.sweeps.allocation_recipes import RECIPES
from tests.sweeps.commands import Answer
from tests.sweeps.test_paper_recipes import PAPERS, Tombola, on_the_stand_in, recipe
from trainables.config import TaskConfig, TrainingConfig
from trainables.training.schedule import factor
from trainables.trials.trial import run_trial

UNTRAINED = "task.network_options={}"
"""Whoever has no ImageNet need not fetch weights that were trained on it."""


def on_noise(name: str, *, images: str = "{}") -> list[str]:
    settings = [on_the_stand_in(name), f"task.data_options={images}"]
    return [*settings, UNTRAINED] if name.endswith("imagenet") else settings


@pytest.mark.parametrize("name", RECIPES)
def test_network_and_training_are_the_papers(name: str) -> None:
    content, paper = recipe(name), RECIPES[name]
    other: dict[str, object] = {
        "data": f"tests.sweeps.stand_in:{content['task']['data']}",
        "data_options": {},
    }
    if name.endswith("imagenet"):
        other["network_options"] = {}  # UNTRAINED
    task = TypeAdapter(TaskConfig).validate_python(content["task"] | other)
    network = trainables.build_network(task)
    assert sum(parameter.numel() for parameter in network.parameters()) == paper.parameters
    training = TypeAdapter(TrainingConfig).validate_python(content["training"])
    assert (training.batch_size, training.weight_decay) == (paper.batch_size, paper.weight_decay)
    assert training.nesterov == paper.nesterov
    rates = {at: training.lr * factor(training.schedule, at, training.epochs) for at in paper.lr}
    assert rates == pytest.approx(paper.lr)


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_counts_the_papers_epochs(tombola: Tombola, name: str) -> None:
    answer: Answer = tombola(
        "run", str(PAPERS / f"{name}.yaml"), "--dry-run", *with_set(on_noise(name, images="{other: 500}"))
    )
    assert (answer.exit_code, answer.stderr) == (0, "")
    [shared] = re.findall(r"epochs: (?:about )?([\d,.]+) with nothing trained twice", answer.stdout)
    paper = RECIPES[name]
    alone = paper.epochs + (paper.trials + paper.baselines) * paper.retrain_epochs
    assert float(shared.replace(",", "")) == pytest.approx(paper.seeds * alone)
    assert f"{name}: {paper.trials} trials" in answer.stdout


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("resnet20_cifar10", 0.03),
        ("vgg16_cifar10", 0.03),
        ("densenet22_cifar10", 0.086),
        ("wrn16_8_cifar10", 0.03),
        ("resnet18_imagenet", 0.15),
    ],
)
def test_alds_goes_down_to_the_papers_keep_ratios(name: str, last: float) -> None:
    kept = recipe(f"alds_{name}")["parameters"]["budget.keep_ratio"]["values"]
    steps = [after / before for before, after in itertools.pairwise(kept)]
    assert kept[-1] == last and steps == pytest.approx([steps[0]] * len(steps), rel=0.02)


@pytest.mark.parametrize("name", RECIPES)
def test_a_few_steps_on_noise(tmp_path: Path, name: str) -> None:
    shorter = ["replicates=1", "resources={}", "compression.recalibrate_bn=4"]
    if RECIPES[name].epochs:
        shorter += ["training.epochs=1", "compression.retrain_epochs=1", "training.schedule={name: constant}"]
    if recipe(name)["compression"]["calibration_images"]:
        shorter.append("compression.calibration_images=4")
    sweep = Sweep.from_file(
        PAPERS / f"{name}.yaml", [*on_noise(name, images="{train: 4, other: 2}"), *shorter]
    )
    prepared = prepare(sweep)
    draw = dict(prepared.first_draw)
    if name.startswith("balf") and name.endswith("imagenet"):
        # whitening these layers takes minutes; the same recipes on CIFAR-10 do it
        draw["compression.options"] = prepared.space.distributions["compression.options"].choices[1]
    told = run_trial(prepared.trial_config("0", draw, StudyPaths(tmp_path)))
    assert "failed" not in told, told
    assert told["compress/params_kept"] < 1 and math.isfinite(told["val/loss"])


def with_set(settings: list[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]
