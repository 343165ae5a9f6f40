"""What the command imports before it is known what is asked for: nothing that takes seconds."""

import inspect

import click
import pytest

from sweeps.cli import PLACES, cli


@pytest.mark.parametrize("name", PLACES)
def test_a_line_of_help_is_the_first_of_the_commands_own(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.name == name
    assert inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ") == PLACES[name].help
