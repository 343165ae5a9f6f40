"""``tombola methods``."""

import json
from collections.abc import Iterable

import click

import pruners

_MADE = {"decomposition": "a decomposition", "mask": "a mask", "channels": "channels"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def methods(as_json: bool) -> None:
    """List the methods that compress: what they make, paper, what they need, options."""
    known = pruners.methods()
    if as_json:
        click.echo(json.dumps({name: _described(method) for name, method in known.items()}, indent=1))
        return
    for name, method in known.items():
        click.echo(
            f"{name}: {method.title}\n  {method.paper}\n"
            f"  makes {_MADE[method.kind]}; needs: {', '.join(method.needs) or 'the weights alone'}"
        )
        # those of its kind are told once, below, unless the method's default is another
        shared = [*pruners.SHARED_OPTIONS, *pruners.REFIT_OPTIONS, *pruners.CHANNEL_OPTIONS]
        _show(option for option in method.all_options if option not in shared)
        click.echo()
    click.echo("Every method that makes a decomposition also takes")
    _show(pruners.REFIT_OPTIONS)
    click.echo("\nEvery method that makes a mask also takes")
    _show(pruners.SHARED_OPTIONS)
    click.echo("\nEvery method that removes channels also takes")
    _show(pruners.CHANNEL_OPTIONS)


def _show(options: Iterable[pruners.Option]) -> None:
    for option in options:
        click.echo(f"  {option.name} = {option.default}: {option.meaning}")


def _described(method: pruners.Method) -> dict[str, object]:
    shared = {option.name for option in method.all_options} - {option.name for option in method.options}
    return {
        "title": method.title,
        "kind": method.kind,
        "paper": method.paper,
        "needs": list(method.needs),
        "options": [_told(option) for option in method.options],
        "shared_options": [_told(option) for option in method.all_options if option.name in shared],
    }


def _told(option: pruners.Option) -> dict[str, object]:
    return {"name": option.name, "default": option.default, "meaning": option.meaning, "known": option.known}
