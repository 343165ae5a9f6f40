"""The command ``tombola``: its subcommands, and how every failure becomes a sentence and an exit code."""

import importlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import click

from pruners.errors import nearest
from sweeps.errors import FAILED, INTERRUPTED, USAGE, SweepError
from trainables.errors import StoreError


@dataclass(frozen=True)
class _Place:
    """The module of ``sweeps.commands`` that holds a command of that name, and the command's line of help."""

    module: str
    help: str


PLACES = {
    "compare": _Place(
        "compare", "Put studies of one task side by side: who is best at which budget, and how sure that is."
    ),
    "dashboard": _Place(
        "dashboard", "Show the study in DIR in Optuna's dashboard, also while it runs, until Ctrl-C."
    ),
    "doctor": _Place("doctor", "Check this machine: packages that belong together, GPUs, disk, W&B."),
    "export": _Place("export", "Take a trial's smaller network out of the study in DIR."),
    "init": _Place("first_sweep.init", "Write a first sweep file for a network and its data, and check it."),
    "logs": _Place(
        "jobs", "Show what the driver of the study in DIR says, which runs as a job of a cluster."
    ),
    "methods": _Place(
        "methods",
        "List the methods that compress: paper, what they need, options with their defaults and values.",
    ),
    "plan": _Place("plan", "Show what a method would do to a network, without training anything."),
    "report": _Place("report", "Write the report of the study in DIR again, also while it runs."),
    "resume": _Place("run", "Go on with the study in DIR, from the sweep that it keeps."),
    "run": _Place("run", "Run a sweep, or go on with the study that its folder holds."),
    "status": _Place("status", "Show how far the study in DIR is."),
    "stop": _Place(
        "jobs", "Stop the driver of the study in DIR, which runs as a job of a cluster; nothing is lost."
    ),
    "validate": _Place(
        "validate", "Check a sweep file against its network and data, and say what it would run."
    ),
}
"""Every command. Its module, and with it torch or Ray, is imported when the command is asked for."""


class Commands(click.Group):
    """A group that imports a command when it is asked for, and offers the nearest one for an unknown one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises `SweepError` where a package that it needs is broken.
        """
        if cmd_name not in PLACES:
            return None
        try:
            module = importlib.import_module(f"sweeps.commands.{PLACES[cmd_name].module}")
        except ImportError as error:
            raise SweepError(
                f"The installation is broken ({error}). Run `make setup`, or install tombola again."
            ) from error
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lines of help, for which no command needs to be imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in PLACES.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by its name, or offer the nearest one."""
        if args and args[0] not in PLACES and not args[0].startswith("-"):
            raise click.UsageError(f'There is no command "{args[0]}"{nearest(args[0], PLACES)}')
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tombola")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Sweeps that shrink neural networks: Ray Tune runs them, Optuna searches, Weights & Biases shows."""


def main() -> None:
    """Run the command line and exit with a code of ``sweeps.errors``.

    The user's factories are found from the folder that the command is given in.
    """
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(_exit_code(sys.argv[1:]))


def _exit_code(arguments: list[str]) -> int:
    try:
        result = cli.main(arguments, prog_name="tombola", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "tombola"
        return _say(f"{error.format_message()} ({command} --help tells more.)", USAGE)
    except SweepError as error:
        _show_traceback(arguments)
        return _say(str(error), error.exit_code)
    except StoreError as error:  # an object store is away, or refuses
        _show_traceback(arguments)
        return _say(str(error), FAILED)
    except click.exceptions.Abort:
        return INTERRUPTED
    except Exception as error:
        _show_traceback(arguments)
        return _say(_described(error), FAILED)


def _described(error: Exception) -> str:
    from sweeps.study.database.outage import outage  # SQLAlchemy, which is slow to import

    if reason := outage(error):
        return f"The study's database is away: {reason}."
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} (--debug before the command's name shows where.)"


def _say(message: str, code: int) -> int:
    print(f"tombola: {message}", file=sys.stderr)
    return code


def _show_traceback(arguments: list[str]) -> None:
    if "--debug" in arguments:
        traceback.print_exc()
