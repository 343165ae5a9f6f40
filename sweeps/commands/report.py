"""``tombola report``."""

from pathlib import Path

import click

from sweeps.commands.options.cluster_option import as_typed, cluster_option
from sweeps.commands.options.study_folder import StudyFolder
from sweeps.study.load import load_record
from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord
from trainables.places.place import Place


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option("--storage", metavar="URL", help="The study's database, where its URL needs a password.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Also write its figures there as PNG and SVG; needs the extra figures.",
)
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write all trials there as CSV, with all digits.",
)
@click.option(
    "--tensorboard",
    "events",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Also write the trials there as TensorBoard's event files.",
)
@click.option(
    "--wandb",
    "for_wandb",
    is_flag=True,
    help="Also build its W&B Report, and publish it where W&B can be reached; needs the extra report.",
)
@cluster_option
@click.pass_context
def report(
    ctx: click.Context,
    /,
    study: Place,
    storage: str | None,
    figures: Path | None,
    table: Path | None,
    events: Path | None,
    for_wandb: bool,
    cluster: Path | None,
) -> None:
    """Write the report of the study in DIR again, also while it runs."""
    if cluster:
        if figures or table or events:
            raise click.UsageError(
                "--figures, --csv and --tensorboard write what is on this machine; the report of a cluster's "
                "study has buttons for figures and trials."
            )
        from sweeps.cluster import away
        from sweeps.cluster.head import Head  # Ray's part that speaks to clouds takes seconds to import

        local = Path("runs", study.name, "report.html")
        said = away.fetch_report(Head(cluster), str(study), as_typed(ctx, frozenset({"study"}))[1:], local)
        click.echo(f"{local}\n{said}".rstrip())
        return
    from sweeps.report import write_report  # plotly takes a second to import

    path, record = StudyPaths(study).report, load_record(study, storage)
    write_report(record, path)
    click.echo(str(path))
    _write_table(record, table)
    if for_wandb:
        from sweeps.tracking.report import report_path, write_wandb_report  # wandb takes a second to import

        file = report_path(study)
        url = write_wandb_report(record, file)
        click.echo(url or f"{file} (W&B is offline: the same command publishes it where it is not)")
    _write_folders(record, figures, events)


def _write_table(record: StudyRecord, table: Path | None) -> None:
    if table:
        from sweeps.report.trials_csv import trials_csv

        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(trials_csv(record), encoding="utf-8")
        click.echo(str(table))


def _write_folders(record: StudyRecord, figures: Path | None, events: Path | None) -> None:
    if figures:
        from sweeps.report.figure_files import write_figures
        from sweeps.report.page import charts

        for file in write_figures(charts(record), figures):
            click.echo(str(file))
    if events:
        from sweeps.report.tensorboard import write_events

        for run in write_events(record, events):
            click.echo(str(run))
