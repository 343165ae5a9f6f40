"""What the command imports before it is known what is asked for: nothing that takes seconds."""

import importlib
import inspect
import subprocess
import sys

import click
import pytest

from sweeps import StudyRecord
from sweeps.cli import PLACES, cli
from tests.docs.pages import PROJECT

HEAVY = ("torch", "torchvision", "ray", "optuna", "wandb", "plotly", "pydantic")


def imported(*arguments: str) -> set[str]:
    """The heavy packages that a process of the command has imported at its end."""
    program = (
        "import atexit, sys, tombola\n"
        f"atexit.register(lambda: print('imported', *[name for name in {HEAVY} if name in sys.modules]))\n"
        f"sys.argv = ['tombola', *{arguments}]\n"
        "tombola.main()"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    assert imported(option) == set()


def test_status_imports_neither_torch_nor_ray(finished: StudyRecord) -> None:
    assert imported("status", str(finished.directory)) == {"optuna", "pydantic"}


def test_a_run_imports_torch_and_ray_after_its_first_words() -> None:
    assert imported("run", "--help") == {"optuna", "pydantic"}


@pytest.mark.parametrize("name", PLACES)
def test_a_line_of_help_is_the_first_of_the_commands_own(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.name == name
    assert inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ") == PLACES[name].help


@pytest.mark.parametrize("floor", ["pruners", "trainables", "sweeps"])
def test_every_public_name_is_there(floor: str) -> None:
    package = importlib.import_module(floor)
    assert package.__all__
    for name in package.__all__:
        value = getattr(package, name)
        assert not inspect.ismodule(value), f"{floor}.{name} is its file"


def test_a_function_named_like_its_file_stays_one_whoever_imports_the_file_first() -> None:
    program = "import pruners.compress, pruners.methods; assert callable(pruners.compress); pruners.methods()"
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)
