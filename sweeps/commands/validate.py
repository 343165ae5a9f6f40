"""``tombola validate``."""

from pathlib import Path

import click

from sweeps.search import rehearsal
from sweeps.search.dry_run import dry_run_text
from sweeps.search.prepare import prepare
from sweeps.sweep_file.sweep import Sweep


@click.command()
@click.argument("sweep_file", type=click.Path(path_type=Path), metavar="SWEEP.yaml")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the sweep file.")
def validate(sweep_file: Path, overrides: tuple[str, ...]) -> None:
    """Check a sweep file against its network and data, and say what it would run."""
    prepared = prepare(Sweep.from_file(sweep_file, overrides))
    rehearsal.check(prepared)
    click.echo(f"{sweep_file} is sound.\n{dry_run_text(prepared)}")
