"""``tombola methods``."""

import dataclasses
import json

import click

import pruners


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def methods(as_json: bool) -> None:
    """The methods that compress: paper, what they need, options."""
    known = pruners.methods()
    if as_json:
        click.echo(json.dumps({name: _described(method) for name, method in known.items()}, indent=1))
        return
    for name, method in known.items():
        click.echo(f"{name}: {method.title}\n  {method.paper}\n  needs: {', '.join(method.needs) or 'the weights alone'}")
        for option in method.options:
            click.echo(f"  {option.name} = {option.default}: {option.meaning}")
        click.echo()


def _described(method: pruners.Method) -> dict[str, object]:
    return {
        "title": method.title,
        "paper": method.paper,
        "needs": list(method.needs),
        "options": [dataclasses.asdict(option) for option in method.options],
    }
