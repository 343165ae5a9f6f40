"""``tombola report``."""

from pathlib import Path

import click

from sweeps.commands.options.cluster_option import as_typed, cluster_option
from sweeps.commands.options.study_folder import StudyFolder
from sweeps.study.load import load_record
from sweeps.study.paths import StudyPaths
from trainables.places.place import Place


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option("--storage", metavar="URL", help="The study's database, where its URL needs a password.")
@cluster_option
@click.pass_context
def report(ctx: click.Context, /, study: Place, storage: str | None, cluster: Path | None) -> None:
    """Write the report of the study in DIR again, also while it runs."""
    if cluster:
        from sweeps.cluster import away
        from sweeps.cluster.head import Head  # Ray's part that speaks to clouds takes seconds to import

        local = Path("runs", study.name, "report.html")
        away.fetch_report(Head(cluster), str(study), as_typed(ctx, frozenset({"study"}))[1:], local)
        click.echo(str(local))
        return
    from sweeps.report import write_report  # plotly takes a second to import

    path = StudyPaths(study).report
    write_report(load_record(study, storage), path)
    click.echo(str(path))
