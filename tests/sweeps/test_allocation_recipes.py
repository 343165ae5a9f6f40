"""The sweep files of papers on allocating a budget say what the papers, or their authors' code, say."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

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

UNTRAINED = {"imagenet": {}, "voc": {"aux_loss": True}}
"""Network options without weights trained on ImageNet, which whoever has none need not fetch; by data."""


def on_noise(name: str, *, images: str = "{}") -> list[str]:
    settings = [on_the_stand_in(name), f"task.data_options={images}"]
    options = UNTRAINED.get(name.rpartition("_")[2])
    return settings if options is None else [*settings, f"task.network_options={json.dumps(options)}"]


TAKEN: dict[str, tuple[str, float, dict[str, Any]]] = {
    "alds_resnet20_cifar10": ("pca", 0.5, {}),
    "alds_vgg16_cifar10": ("svd", 0.5, {}),
    "alds_densenet22_cifar10": ("pfp", 0.5, {}),
    "alds_wrn16_8_cifar10": ("svd_energy", 0.5, {}),
    "alds_resnet18_imagenet": ("l_rank", 0.5, {}),
    "alds_mobilenetv2_imagenet": ("alds", 0.5, {}),
    "alds_deeplabv3_voc": ("svd", 0.5, {}),
    "alds_cascade_resnet18_imagenet": ("ft", 0.3, {}),
    # the two wide layers' spectra take minutes
    "alds_cascade_alexnet_imagenet": ("alds", 0.97, {"exclude": ["20", "24"]}),
}
"""Each of ALDS's recipes with one of its methods, a keep ratio and options that make it quick."""


@pytest.mark.parametrize("name", RECIPES)
def test_network_and_training_are_the_papers(name: str) -> None:
    content, paper = recipe(name), RECIPES[name]
    other: dict[str, object] = {
        "data": f"tests.sweeps.stand_in:{content['task']['data']}",
        "data_options": {},
    }
    if (options := UNTRAINED.get(name.rpartition("_")[2])) is not None:
        other["network_options"] = options
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
    retrainings = paper.retrainings or paper.trials + paper.baselines
    alone = paper.epochs + retrainings * paper.retrain_epochs
    assert float(shared.replace(",", "")) == pytest.approx(paper.seeds * alone)
    assert f"{name}: {paper.trials} trials" in answer.stdout


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("resnet20_cifar10", 0.03),
        ("ablation_resnet20_cifar10", 0.2),
        ("vgg16_cifar10", 0.03),
        ("densenet22_cifar10", 0.086),
        ("wrn16_8_cifar10", 0.03),
        ("resnet18_imagenet", 0.15),
        ("mobilenetv2_imagenet", 0.4),
        ("deeplabv3_voc", 0.12),
    ],
)
def test_alds_goes_down_to_the_papers_keep_ratios(name: str, last: float) -> None:
    kept = recipe(f"alds_{name}")["parameters"]["budget.keep_ratio"]["values"]
    steps = [after / before for before, after in itertools.pairwise(kept)]
    assert kept[-1] == last and steps == pytest.approx([steps[0]] * len(steps), rel=0.02)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in TAKEN])
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


@pytest.mark.parametrize("name", TAKEN)
def test_a_few_steps_of_alds_and_its_rivals_on_noise(tmp_path: Path, name: str) -> None:
    method, keep_ratio, more = TAKEN[name]
    content = recipe(name)
    written = {w if isinstance(w, str) else w["value"]: w for w in method_values(content)}[method]
    if more:
        written["parameters"]["compression.options"]["value"] |= more
    parameters = {"compression.method": {"values": [written]}, "budget.keep_ratio": {"values": [keep_ratio]}}
    steps = content["parameters"].get("compression.cascade", {"values": [1]})["values"][-1]
    settings = [
        f"parameters={json.dumps(parameters)}",
        f"compression.cascade={steps}",
        *("run_cap=1", "replicates=1", "resources={}"),
        *("compression.recalibrate_bn=4", "compression.calibration_images=4", "compression.retrain_epochs=1"),
        *("training.epochs=1", "training.batch_size=4", "training.schedule={name: constant}"),
    ]
    noise = on_noise(name, images="{train: 4, other: 2}")
    prepared = prepare(Sweep.from_file(PAPERS / f"{name}.yaml", [*noise, *settings]))
    config = prepared.trial_config("0", dict(prepared.first_draw), StudyPaths(tmp_path))
    assert config.compression.method == method
    told = run_trial(config)
    assert "failed" not in told, told
    assert told["compress/params_kept"] <= keep_ratio + 0.05 and math.isfinite(told["val/loss"])


def test_the_tables_hold_the_papers_seven_methods() -> None:
    for name in ("resnet20_cifar10", "vgg16_cifar10", "densenet22_cifar10", "wrn16_8_cifar10",
                 "resnet18_imagenet", "deeplabv3_voc", "mobilenetv2_imagenet"):  # fmt: skip
        written = method_values(recipe(f"alds_{name}"))
        assert [w if isinstance(w, str) else w["value"] for w in written] == [
            *("alds", "pca", "svd_energy", "svd", "l_rank", "ft", "pfp")
        ]
        low_rank = [w["parameters"] for w in written if not isinstance(w, str)]
        assert low_rank == [{"compression.options": {"value": {"refit": "none"}}}] * 5


def method_values(content: dict[str, Any]) -> list[Any]:
    values: list[Any] = content["parameters"]["compression.method"]["values"]
    return values


def with_set(settings: list[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]
