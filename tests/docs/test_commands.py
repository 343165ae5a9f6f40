"""Every command in the documentation is one that there is, with options that it has."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import ray.scripts.scripts
import wandb.cli.cli

from sweeps.cli import cli
from tests.docs.pages import PAGES, PROJECT, blocks, command_lines

PROGRAMS: dict[str, Any] = {"tombola": cli, "ray": ray.scripts.scripts.cli, "wandb": wandb.cli.cli.cli}
TARGETS = re.findall(r"^([a-z-]+):.*##", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
COMMANDS = [(page, line) for page in PAGES for block in blocks(page, "sh") for line in command_lines(block)]
MENTIONS = [(page, text) for page in PAGES for text in re.findall(r"`((?:tombola|make) [^`]+)`", PAGES[page])]


def subcommand(program: click.Group, words: list[str]) -> tuple[click.Command, list[str]]:
    """The subcommand that the words name, and what follows its name."""
    own = {option for parameter in program.params for option in parameter.opts}
    while words[0] in own:
        words = words[1:]
    found = program.get_command(click.Context(program), words[0])
    assert found, f"there is no subcommand {words[0]}"
    return subcommand(found, words[1:]) if isinstance(found, click.Group) else (found, words[1:])


@pytest.mark.parametrize(
    ("page", "line"), COMMANDS, ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
def test_a_command_can_be_given_as_it_stands(
    page: str, line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs/digits/wandb").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    if line[0] == "make":
        assert set(line[1:]) <= set(TARGETS)
        return
    command, arguments = subcommand(PROGRAMS[Path(line[0]).name], line[1:])  # some stand in .venv/bin
    with command.make_context(line[1], arguments) as context:
        assert not context.args, f"{context.args} is left over"


@pytest.mark.parametrize(("page", "text"), MENTIONS)
def test_a_command_named_in_a_sentence_exists(page: str, text: str) -> None:
    program, *words = text.split()
    if program == "make":
        assert set(words) <= set(TARGETS)
        return
    command, arguments = subcommand(cli, words)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("-")} <= known
