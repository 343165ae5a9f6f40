"""What the commands answer about sweeps and studies that are right."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import pruners
import trainables
from sweeps import StudyRecord
from sweeps.study.driver.held import folder_lock
from sweeps.study.paths import StudyPaths
from tests.sweeps.bad_sweeps import SWEEP
from tests.sweeps.commands import Answer, contents
from tests.sweeps.users import fails_in_training
from trainables.config import TaskConfig
from trainables.task.metrics.classes import Accuracy
from trainables.training.evaluation import evaluate

PROJECT = Path(__file__).parents[2]
Tombola = Callable[..., Answer]


def test_status_for_programs(tombola: Tombola, finished: StudyRecord) -> None:
    answer = tombola("status", str(finished.directory), "--json")
    told = json.loads(answer.stdout)
    assert (answer.exit_code, answer.stderr) == (0, "") and finished.best and finished.best.values
    assert told == {
        "study": "finished",
        "target": 3,
        "complete": 2,
        "stopped_early": 0,
        "failed": 1,
        "infeasible": 0,
        "running": 0,
        "deaths": {},
        "driver": None,
        "time_is_up": False,
        "best": {
            "trial": finished.best.key,
            "values": {"val/accuracy": finished.best.values[0]},
            "params": finished.best.params,
        },
        "constraints": [],
        "feasible": 2,
        "nearest": None,
        "objectives": [{"name": "val/accuracy", "goal": "maximize"}],
    }


def test_status_for_people(tombola: Tombola, finished: StudyRecord) -> None:
    assert finished.best and finished.best.values
    best = f"  best: trial {finished.best.key}, val/accuracy {finished.best.values[0]:.6g}\n"
    assert (
        tombola("status", str(finished.directory)).stdout
        == f"finished: 2 of 3 trials complete\n  failed: 1\n{best}"
    )


def test_status_is_watched_until_no_driver_runs_it(tombola: Tombola, finished: StudyRecord) -> None:
    folder = str(finished.directory)
    at_rest = tombola("status", folder).stdout
    assert tombola("status", folder, "--watch").stdout == at_rest
    words = [sys.executable, "-m", "tombola", "status", folder, "--watch"]
    with folder_lock(StudyPaths(finished.directory)).hold():
        watching = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        assert watching.stdout is not None
        shown = [watching.stdout.readline()]
        while "driver: " not in shown[-1]:
            shown.append(watching.stdout.readline())
    rest = watching.communicate(timeout=120)[0]
    assert rest.endswith(at_rest) and watching.returncode == 0


def test_the_report_is_written_again(tombola: Tombola, finished: StudyRecord) -> None:
    path = finished.directory / "report.html"
    path.unlink()
    assert tombola("report", str(finished.directory)).stdout == f"{path}\n"
    assert "24 is a bad number" in path.read_text()


@pytest.mark.parametrize("trial", [None, "the other"])
def test_an_exported_network_loads_with_torch_alone_and_is_as_good_as_recorded(
    tombola: Tombola, finished: StudyRecord, trial: str | None
) -> None:
    assert finished.best
    chosen = finished.best if trial is None else next(t for t in finished.complete if t != finished.best)
    asked = [] if trial is None else ["--trial", chosen.key]
    answer = tombola("export", str(finished.directory), "--to", "small", *asked)
    assert answer.exit_code == 0 and answer.stdout.startswith(f"Trial {chosen.key} is in small. ")
    network = pruners.load("small").apply(fails_in_training(chosen.params["task.network_options.hidden"]))
    data = trainables.load_data(TaskConfig("lenet_300_100", "digits"))
    told = evaluate(
        network,
        data.validation,
        trainables.task.loss.resolve("cross_entropy"),
        torch.device("cpu"),
        {"accuracy": Accuracy(-100)},
    )
    assert told["accuracy"] == chosen.metrics["val/accuracy"]


def test_methods_for_programs(tombola: Tombola) -> None:
    told = json.loads(tombola("methods", "--json").stdout)
    assert set(told) == set(pruners.methods()) >= {"alds", "svd", "svd_energy"}
    assert all(
        set(method) == {"title", "kind", "paper", "needs", "made_for", "options", "shared_options"}
        for method in told.values()
    )
    assert {"metric", "candidate_subspaces"} <= {option["name"] for option in told["alds"]["options"]}
    refitting = [option["name"] for option in told["alds"]["shared_options"]]
    assert (told["alds"]["kind"], refitting) == ("decomposition", ["refit", "ridge", "encoders"])
    rounds = {
        name: option["default"]
        for name, m in told.items()
        for option in m["shared_options"]
        if option["name"] == "rounds"
    }
    assert rounds.keys() == {name for name, method in told.items() if method["kind"] == "mask"}
    assert (rounds["magnitude"], rounds["synflow"]) == (1, 100)


@pytest.mark.parametrize("columns", [80, 120])
def test_methods_are_told_by_kind(tombola: Tombola, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = tombola("methods").stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    for shared in ("schedule = exponential (", "encoders = weight (", "round_to = 1 ("):
        assert sum(line.strip().startswith(shared) for line in lines) == 1
    order = [line for line in lines if line in pruners.methods()]
    assert sorted(order) == sorted(pruners.methods())
    kinds = [pruners.methods()[name].kind for name in order]
    assert kinds == sorted(kinds, key=["decomposition", "mask", "channels"].index)
    networks = {"trained": "a trained network", "untrained": "a network before training"}
    networks["either"] = "any network"
    for name, method in pruners.methods().items():
        told = " ".join(text.partition(f"\n{name}\n")[2].partition("\n\n")[0].split())
        assert f"{method.title} paper {method.paper} needs " in told
        assert all(f"{option.name} = " in told for option in method.options)
        assert f"for {networks[method.made_for]} options" in told or told.endswith(networks[method.made_for])
    synflow = text.partition("\nsynflow\n")[2].partition("\n\n")[0]
    assert "needs    an example input" in synflow and synflow.endswith(
        "rounds = 100 (a whole number of at least 1)"
    )


def test_one_method_is_told_in_full(tombola: Tombola) -> None:
    text = " ".join(tombola("methods", "taylor").stdout.split())
    method = pruners.methods()["taylor"]
    assert "needs labelled data and a loss and an example input" in text and "makes channels" in text
    assert all(f"{option.name} = " in text and option.meaning in text for option in method.all_options)
    own = "tests.pruners.users_methods:FirstLayersLess"
    assert "bend = 2.0 (a number above 0) power of the first layers' share" in " ".join(
        tombola("methods", own).stdout.split()
    )
    told = json.loads(tombola("methods", own, "--json").stdout)[own]
    assert told["options"][1] == {
        "name": "bend",
        "default": 2.0,
        "takes": "a number above 0",
        "meaning": "power of the first layers' share",
        "known": [],
    }
    answer = tombola("methods", "aldz")
    assert answer.exit_code == 2 and "There is no method 'aldz'; did you mean 'alds'?" in answer.stderr


def test_a_plan_for_programs(tombola: Tombola) -> None:
    answer = tombola(
        "plan",
        "--model",
        "lenet_300_100",
        "--input",
        "1,8,8",
        "--classes",
        "10",
        "--keep-ratio",
        ".25",
        "--json",
    )
    told = json.loads(answer.stdout)
    assert (
        set(told) == {"method", "metric", "error", "params", "budget", "layers", "unreached"}
        and not told["unreached"]
    )
    assert (told["method"], told["metric"], told["budget"]) == (
        "alds",
        "max",
        int(0.25 * (64 * 300 + 300 * 100 + 1000)),
    )
    assert sum(layer["params"] for layer in told["layers"].values()) <= told["params"] <= told["budget"]
    assert all(
        set(layer) == {"rank", "num_subspaces", "error", "params"} for layer in told["layers"].values()
    )


def test_a_plan_tells_another_form(tombola: Tombola) -> None:
    command = ("plan", "--model", "conv2", "--input", "1,12,12", "--classes", "10", "--keep-ratio", ".3")
    told = json.loads(tombola(*command, "--method", "tucker", "--json").stdout)
    forms = {name: layer.get("form") for name, layer in told["layers"].items()}
    assert "tucker" in forms.values()
    name = next(name for name, form in forms.items() if form)
    row = next(row for row in tombola(*command, "--method", "tucker").stdout.splitlines() if name in row)
    assert row.endswith(f"tucker, {told['layers'][name]['in_rank']} input channels")


def test_a_plan_by_calibration_images(tombola: Tombola) -> None:
    command = ("plan", "--model", "lenet_300_100", "--data", "digits", "--method", "calibrated")
    command = (*command, "--keep-ratio", ".1")
    lines = tombola(*command).stdout.splitlines()
    assert lines[0].split() == ["layer", "rank", "subspaces", "params", "error"]
    assert lines[-1].endswith("(predicted); other layers stay dense")
    told = json.loads(tombola(*command, "--error", "output", "--json").stdout)
    assert (told["method"], told["metric"]) == ("calibrated", "output")
    # the data set's own shape and classes
    assert told["budget"] == int(0.1 * (64 * 300 + 300 * 100 + 1000))
    assert all(0 < layer["error"] < 1 for layer in told["layers"].values())
    assert "512 of its training images" in " ".join(tombola("plan", "--help").stdout.split())


def test_a_plan_of_a_network_of_tokens(tombola: Tombola) -> None:
    users = "tests.trainables.users"
    asked = ("plan", "--model", f"{users}:token_network", "--data", f"{users}:sentences")
    for method in ("alds", "ft"):
        answer = tombola(*asked, "--method", method, "--flops-ratio", ".8")
        assert (answer.exit_code, answer.stderr) == (0, "") and "multiply-adds" in answer.stdout


def test_a_dry_run_trains_nothing_and_counts_epochs(tombola: Tombola) -> None:
    sweep = SWEEP.replace("method: alds", "method: alds\n  retrain_epochs: 3").replace(
        "epochs: 1", "epochs: 5"
    )
    sweep = sweep.replace(
        "parameters:\n  training.lr: {min: 0.01, max: 0.1}\n", "per_layer: {tolerance: {min: 0.5, max: 2}}\n"
    )
    Path("s.yaml").write_text(sweep + "replicates: 2\nbaselines: [svd]\n")
    before = contents(Path())
    answer = tombola("run", "s.yaml", "--dry-run")
    assert answer.exit_code == 0 and contents(Path()) == before
    assert answer.stdout.splitlines() == [
        "base: 2 trials, sampler random, 3 parameters",
        "network: 3 compressible layers",
        "objectives: maximize val/accuracy",
        "baselines: svd",
        f"epochs: {2 * (5 + 3 * 3)} with nothing trained twice, {2 * 3 * (5 + 3)} if each trial stood alone",
    ]


def test_a_plan_of_channels(tombola: Tombola) -> None:
    asked = ("plan", "--model", "conv2", "--data", "digits", "--flops-ratio", ".5", "--method")
    for method in ("ft", "taylor"):
        told = json.loads(tombola(*asked, method, "--json").stdout)
        assert told["method"] == method and told["multiply_adds"] <= 0.5 * told["dense_multiply_adds"]
        assert told["params"] == sum(layer["params"] for layer in told["layers"].values())
    lines = tombola(*asked, "ft").stdout.splitlines()
    assert lines[0].split() == ["layer", "channels", "of", "params", "of"]
    assert lines[-1].endswith(f"of {told['dense_multiply_adds']} multiply-adds")
    assert len(lines) == 2 + len(told["layers"])
    refused = tombola(
        "plan", "--model", "conv2", "--input", "1,8,8", "--method", "taylor", "--keep-ratio", ".5"
    )
    assert refused.exit_code == 2 and "Method taylor needs --data" in refused.stderr
    least = tombola(*asked[:5], "--flops-ratio", "1e-6", "--method", "ft")
    assert least.exit_code == 3 and "(flops_ratio=" in least.stderr
