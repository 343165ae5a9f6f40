"""``tombola init``."""

from pathlib import Path

import click

from sweeps.commands.first_sweep.compose import as_text, first_sweep
from sweeps.commands.first_sweep.from_wandb import from_wandb
from sweeps.errors import SweepError
from sweeps.search import rehearsal
from sweeps.search.dry_run import dry_run_text
from sweeps.search.prepare import prepare
from sweeps.sweep_file import yaml_file
from sweeps.sweep_file.sweep import Sweep
from trainables.places.place import write_whole


@click.command()
@click.argument("target", type=click.Path(path_type=Path), metavar="SWEEP.yaml")
@click.option("--network", required=True, help="A name, torchvision:NAME, or package.module:factory.")
@click.option("--data", required=True, help="A data set's name, or package.module:factory.")
@click.option(
    "--keep-ratio", default=0.25, show_default=True, help="The share of the weights that is to be kept."
)
@click.option(
    "--from-wandb",
    "wandb_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A W&B sweep whose search is taken over.",
)
def init(target: Path, network: str, data: str, keep_ratio: float, wandb_file: Path | None) -> None:
    """Write a first sweep file for a network and its data, and check it."""
    if target.exists():
        raise SweepError(f"{target} exists already; name a new file.")
    if not target.parent.is_dir():
        raise SweepError(f"{target.parent} is no folder that {target.name} could be written in.")
    sweep = first_sweep(network, data, keep_ratio)
    left_out: list[str] = []
    if wandb_file:
        sweep, left_out = from_wandb(yaml_file.read(wandb_file).data, sweep)
    prepared = prepare(Sweep.from_data(sweep, str(target)))
    rehearsal.check(prepared)
    notes = [f"Left out of {wandb_file}: {sentence}" for sentence in left_out]
    write_whole(target, as_text(sweep, notes).encode())
    for note in notes:
        click.echo(note)
    click.echo(f"{target} is written, and sound.\n{dry_run_text(prepared)}")
    click.echo(f"\nRun it: tombola run {target}")
