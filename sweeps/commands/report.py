"""``tombola report``."""

import click

from sweeps.commands.study_folder import StudyFolder
from sweeps.study.load import load_record
from sweeps.study.paths import StudyPaths
from trainables.places.place import Place


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option("--storage", metavar="URL", help="The study's database, where its URL needs a password.")
def report(study: Place, storage: str | None) -> None:
    """Write the report of the study in DIR again, also while it runs."""
    from sweeps.report import write_report  # plotly takes a second to import

    path = StudyPaths(study).report
    write_report(load_record(study, storage), path)
    click.echo(str(path))
