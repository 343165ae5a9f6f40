"""``tombola logs`` and ``tombola stop``: the drivers that run as jobs of a cluster."""

import sys

import click

from sweeps.commands.options.cluster_option import also_on_a_cluster
from sweeps.commands.options.study_folder import StudyFolder
from trainables.places.place import Place


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option(
    "--follow", is_flag=True, help="Go on until the driver ends; Ctrl-C stops reading, not the study."
)
@also_on_a_cluster
def logs(study: Place, follow: bool) -> None:
    """Show what the driver of the study in DIR says, which runs as a job of a cluster."""
    from sweeps.cluster import job

    job.print_log(job.name_of(study), follow, sys.stdout.write)


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@also_on_a_cluster
def stop(study: Place) -> None:
    """Stop the driver of the study in DIR, which runs as a job of a cluster; nothing is lost."""
    from sweeps.cluster import job

    job.stop(job.name_of(study))
    click.echo(f"{study}: stopped; nothing is lost. `tombola resume` goes on with it.")
