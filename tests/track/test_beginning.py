"""What a run is told of its trial before it begins."""

from typing import Any

from sweeps.search.prepare import prepare
from sweeps.sweep_file.sweep import Sweep
from sweeps.tracking.beginning import beginning, without_secrets
from sweeps.tracking.recorder.ending import shown
from sweeps.tracking.sweep_config import sweep_config
from tests.sweeps.studies import digits
from trainables.config import trial_config

SETTINGS: dict[str, Any] = {
    "key": "3",
    "task": {
        "network": "mlp",
        "data": "digits",
        "data_options": {"url": "s3://me:hidden@here/x", "token": "hidden"},
    },
    "training": {"epochs": 1, "lr": 0.05},
    "compression": {"method": "alds"},
    "budget": {"keep_ratio": 0.25},
    "directory": "/home/me/study/trials/3",
    "store": "/home/me/store",
    "seeds": (0, 1),
}


def begun(key: str = "3", settings: dict[str, Any] = SETTINGS, **params: Any) -> dict[str, Any]:
    return beginning(key, trial_config.validate_python(settings), params, "s1", "result.json")


def test_settings_are_columns_by_the_sweep_files_names_and_hold_no_secret() -> None:
    config = begun(**{"budget.keep_ratio": 0.25, "tolerance/conv1": 0.5})["config"]
    assert config["budget"]["keep_ratio"] == 0.25 and config["training"]["lr"] == 0.05
    assert config["tolerance/conv1"] == 0.5, "a parameter of its own keeps its name"
    assert (config["seeds"], config["replicates"], config["trial"]) == ([0, 1], 2, "3")
    assert config["task"]["data_options"] == {"url": "s3://me:***@here/x", "token": "***"}
    assert "hidden" not in str(config) and "/home/me" not in str(config)


def test_a_dense_network_has_one_run_for_each_task_and_training_that_were_searched() -> None:
    assert begun()["dense"] == begun(**{"budget.keep_ratio": 0.5})["dense"] == "dense"
    one, same, other = (begun(**{"training.lr": lr})["dense"] for lr in (0.1, 0.1, 0.2))
    assert one == same != other
    assert begun("baseline-svd")["job_type"] == "baseline"


def test_a_dense_network_that_nobody_trains_has_no_run() -> None:
    assert "dense" not in begun(settings={**SETTINGS, "dense_reference": False})["config"]
    end = {"outcome": "complete", "point": {}, "others": {}, "layers": {}}
    size: dict[str, Any] = {"params": 1000, "bytes": 4000}
    assert not shown(begun(), end, {"dense": size}).dense
    trained = shown(begun(), end, {"dense": {**size, "val/accuracy": 0.9}}).dense
    assert trained["compress/bytes"] == 4000 and trained["compress/bytes_kept"] == 1


def test_secrets_are_struck_out_wherever_they_stand() -> None:
    told = {
        "data": "s3://me:h@dden@here/x?X-Amz-Signature=hidden&part=1",
        "login": {"token": {"value": "hidden"}, "passwd": ["hidden"]},
        "tokenizer": "bpe",
        "num_tokens": 128,
    }
    assert without_secrets(told) == {
        "data": "s3://me:***@here/x?X-Amz-Signature=***&part=1",
        "login": {"token": {"value": "***"}, "passwd": ["***"]},
        "tokenizer": "bpe",
        "num_tokens": 128,
    }


def test_a_parameter_that_stands_under_a_value_is_the_setting_that_it_sets() -> None:
    config = begun(**{"training.lr (compression.method=alds)": 0.05})["config"]
    assert config["training"]["lr"] == 0.05 and "method=" not in str(config)


def test_a_methods_long_name_is_a_tag_as_long_as_w_and_b_takes() -> None:
    compression = {"method": f"{'package.' * 10}module:Method"}
    tag = begun(settings={**SETTINGS, "compression": compression})["tags"][1]
    assert len(tag) == 64 and tag.endswith("package.module:Method")


def test_w_and_bs_sweep_has_the_parameters_of_layers_and_those_under_values() -> None:
    sgd = {"value": "sgd", "parameters": {"training.momentum": {"min": 0.5, "max": 0.9}}}
    sweep = digits(
        description="of s3://me:hidden@here/x",
        per_layer={"tolerance": {"min": 0.5, "max": 2}},
        parameters={"training.optimizer": {"values": [sgd, "adam"]}},
    )
    config = sweep_config(prepare(Sweep.from_data(sweep)))
    assert config["description"] == "of s3://me:***@here/x"
    assert config["parameters"]["training"]["parameters"] == {
        "optimizer": {"values": ["sgd", "adam"]},
        "momentum": {"min": 0.5, "max": 0.9},
    }
    layers = {name: found for name, found in config["parameters"].items() if name != "training"}
    assert len(layers) == 3
    tolerance = {"distribution": "log_uniform_values", "min": 0.5, "max": 2}
    assert all(name.endswith("/tolerance") and found == tolerance for name, found in layers.items())
