"""The page about the sweep file holds every key, default and name that the code knows, and no others."""

import dataclasses
import inspect
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from sweeps.search.prepare import prepare
from sweeps.search.samplers import SAMPLERS
from sweeps.sweep_file import keys
from sweeps.sweep_file.objectives.choose import Choose
from sweeps.sweep_file.objectives.constraint import Constraint
from sweeps.sweep_file.objectives.metric import METRICS
from sweeps.sweep_file.sweep import Sweep
from tests.docs.pages import PAGES, PROJECT, blocks, section, tables
from trainables import config
from trainables.recipes import RECIPES
from trainables.task import data, loss, metrics, networks
from trainables.users_code import factory

PAGE = "docs/sweep-file.md"
SECTIONS: dict[str, Any] = {
    "Top level": keys.SweepFile,
    "task": config.TaskConfig,
    "training": config.TrainingConfig,
    "schedule": config.ScheduleConfig,
    "compression": config.CompressionConfig,
    "budget": config.BudgetConfig,
    "lottery": config.LotteryConfig,
    "gradual": config.GradualConfig,
    "dynamic_sparse": config.DynamicSparseConfig,
    "learning_compression": config.LearningCompressionConfig,
    "Parameters": keys.Parameter,
    "per_layer": keys.PerLayer,
    "screen": keys.Screen,
    "early_terminate": keys.EarlyTerminate,
    "baselines": keys.Baseline,
    "constraints": Constraint,
    "choose": Choose,
    "resources": keys.Resources,
    "storage": keys.Storage,
    "retention": keys.Retention,
    "wandb": keys.Wandb,
}


def keys_of(kind: Any) -> dict[str, Any]:
    """A section's keys with their defaults, `PydanticUndefined` where a key is required."""
    if issubclass(kind, BaseModel):
        return {
            name: field.get_default(call_default_factory=True) for name, field in kind.model_fields.items()
        }
    built = {field.name: field.default for field in dataclasses.fields(kind)}
    info = kind.__pydantic_fields__
    return {name: info[name].get_default(call_default_factory=True) for name in built}


def shown(default: Any) -> str:
    """A default as the page writes it."""
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel) or dataclasses.is_dataclass(default):
        return "see below"
    if default == ["*"]:
        return "all"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:g}"
    return str(default) if default else "none"


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_section_holds_its_keys_and_their_defaults(heading: str) -> None:
    [rows] = [table for table in tables(section(PAGE, heading)) if table[0] == ["key", "default", "meaning"]]
    assert [tuple(row[:2]) for row in rows[1:]] == [
        (name, shown(default)) for name, default in keys_of(SECTIONS[heading]).items()
    ]


def first_columns(heading: str, title: str) -> list[str]:
    [rows] = [table for table in tables(section(PAGE, heading)) if table[0][0].strip("`") == title]
    return [row[0] for row in rows[1:]]


def test_every_name_has_its_row() -> None:
    assert first_columns("Objectives", "metric") == list(METRICS)
    assert first_columns("Losses and metrics", "metric") == list(metrics.BUILT_IN)
    assert first_columns("Losses and metrics", "loss") == list(loss.BUILT_IN)
    assert first_columns("Trainables", "trainable") == list(RECIPES)
    assert first_columns("Samplers", "method") == list(SAMPLERS)
    assert first_columns("Parameters", "distribution") == list(keys.DISTRIBUTIONS)
    assert first_columns("task", "network") == list(networks.BUILT_IN)
    assert first_columns("task", "data set") == list(data.BUILT_IN)


def test_goals_and_defaults_of_metrics_are_told() -> None:
    [rows] = [table for table in tables(section(PAGE, "Losses and metrics")) if table[0][0] == "metric"]
    assert {name: goal for name, goal, *_ in rows[1:]} == {
        name: metric.goal for name, metric in metrics.BUILT_IN.items()
    }
    for name in loss.BUILT_IN:
        [primary] = metrics.metrics_of(config.TaskConfig("n", "d", loss=name))
        [told] = [row[0] for row in rows[1:] if name in re.findall(r"\w+", row[2])]
        assert told == primary.name


@pytest.mark.parametrize(("title", "built_in"), [("network", networks.BUILT_IN), ("data set", data.BUILT_IN)])
def test_every_option_of_a_network_and_a_data_set_is_named(title: str, built_in: dict[str, str]) -> None:
    [rows] = [table for table in tables(section(PAGE, "task")) if table[0][0] == title]
    for name, options, *_ in rows[1:]:
        known = inspect.signature(factory.resolve(built_in[name], title)).parameters.values()
        assert options.replace("`", "") == ", ".join(p.name for p in known if p.kind is p.KEYWORD_ONLY)


@pytest.mark.parametrize("heading", ["training", "schedule", "compression", "lottery", "dynamic_sparse"])
def test_every_choice_is_named(heading: str) -> None:
    kind, text = SECTIONS[heading], section(PAGE, heading)
    for hint in get_type_hints(kind).values():
        for part in (hint, *get_args(hint)):
            if get_origin(part) is Literal:
                assert all(f"`{choice}`" in text for choice in get_args(part))


@pytest.mark.parametrize(
    "text", [block.text for page in PAGES for block in blocks(page, "yaml") if not block.file]
)
def test_an_example_is_a_sound_sweep_file_or_a_part_of_one(text: str) -> None:
    part = yaml.safe_load(text)
    whole = (
        {}
        if "run_cap" in part
        else yaml.safe_load((PROJECT / "sweeps/configs/alds_digits.yaml").read_text(encoding="utf-8"))
    )
    if "metrics" in part:
        del whole["metric"]
    if {"lottery", "gradual", "dynamic_sparse", "learning_compression"} & part.keys():
        whole = {key: whole[key] for key in ("name", "task", "metric", "run_cap")}
    if "compression.method" in part.get("parameters", {}):
        whole.pop("per_layer", None)  # which asks for options that not all of the part's methods have
    if not part.get("budget", True) or "budget.keep_ratio" in part.get("parameters", {}):
        whole.pop("baselines", None)  # a baseline needs one budget, and this part searches it
    assert prepare(Sweep.from_data(whole | part)).target > 0
