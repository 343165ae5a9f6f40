"""``tombola methods``."""

import json
import shutil

import click

import pruners
from sweeps.commands.texts import method_text
from sweeps.errors import SweepError
from trainables.errors import TaskError
from trainables.users_code.methods import method_named

_MOST_COLUMNS = 120


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def methods(name: str | None, as_json: bool) -> None:
    """List the methods that compress: paper, what they need, options with their defaults and values.

    With a NAME, or your package.module:Class, tell all of one.
    """
    try:
        known = {name: method_named(name)} if name else pruners.methods()
    except (pruners.PrunerError, TaskError) as error:
        raise SweepError(str(error)) from error
    width = min(shutil.get_terminal_size().columns, _MOST_COLUMNS)
    if as_json:
        click.echo(json.dumps({name: _described(method) for name, method in known.items()}, indent=1))
    elif name:
        click.echo(method_text.in_full(known[name], width))
    else:
        click.echo(method_text.by_kind(known.values(), width))


def _described(method: pruners.Method) -> dict[str, object]:
    shared = {option.name for option in method.all_options} - {option.name for option in method.options}
    return {
        "title": method.title,
        "kind": method.kind,
        "paper": method.paper,
        "needs": list(method.needs),
        "made_for": method.made_for,
        "options": [_told(option) for option in method.options],
        "shared_options": [_told(option) for option in method.all_options if option.name in shared],
    }


def _told(option: pruners.Option) -> dict[str, object]:
    return {
        "name": option.name,
        "default": option.default,
        "takes": str(option.takes),
        "meaning": option.meaning,
        "known": option.known,
    }
