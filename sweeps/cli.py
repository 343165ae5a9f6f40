"""The command ``tombola``: its subcommands, and how every failure becomes a sentence and an exit code."""

import sys
import traceback
from pathlib import Path

import click

from pruners.errors import nearest
from sweeps.commands import doctor, export, methods, plan, report, run, status, validate
from sweeps.errors import FAILED, INTERRUPTED, USAGE, SweepError


class Commands(click.Group):
    """A group that offers the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by its name, or offer the nearest one."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise click.UsageError(f'There is no command "{args[0]}"{nearest(args[0], self.commands)}')
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tombola")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Sweeps that shrink neural networks: Ray Tune runs them, Optuna searches, Weights & Biases shows."""


for command in (
    run.run, run.resume, status.status, plan.plan, validate.validate, report.report, export.export,
    methods.methods, doctor.doctor,
):  # fmt: skip
    cli.add_command(command)


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
    except click.exceptions.Abort:
        return INTERRUPTED
    except Exception as error:
        _show_traceback(arguments)
        text = " ".join(str(error).split())
        return _say(
            f"{type(error).__name__}: {text} (--debug before the command's name shows where.)", FAILED
        )


def _say(message: str, code: int) -> int:
    print(f"tombola: {message}", file=sys.stderr)
    return code


def _show_traceback(arguments: list[str]) -> None:
    if "--debug" in arguments:
        traceback.print_exc()
