"""``tombola dashboard``."""

import click

from sweeps.commands.options.study_folder import StudyFolder
from sweeps.study.paths import StudyPaths
from trainables.places.place import Place


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option("--storage", metavar="URL", help="The study's database, where its URL needs a password.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Of this machine; 0 takes a free one.",
)
def dashboard(study: Place, storage: str | None, port: int) -> None:
    """Show the study in DIR in Optuna's dashboard, also while it runs, until Ctrl-C."""
    from sweeps.dashboard.serve import dashboard_server  # plotly takes a second to import

    server = dashboard_server(StudyPaths(study), storage, port)
    click.echo(f"http://127.0.0.1:{server.server_port}/ shows {study} until Ctrl-C.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
