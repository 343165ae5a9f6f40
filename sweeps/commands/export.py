"""``tombola export``."""

from pathlib import Path

import click

from sweeps.commands.options.cluster_option import as_typed, cluster_option
from sweeps.commands.options.study_folder import NewFolder, StudyFolder
from sweeps.study import export as exporting
from sweeps.study.load import load_record
from trainables.execution.network import INT8
from trainables.places.place import Place


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@click.option("--to", "target", type=NewFolder(), required=True, help="The new folder.")
@click.option(
    "--trial", "key", metavar="N", help="A trial's number, or baseline-<name>; without it the best."
)
@click.option("--onnx", is_flag=True, help="An ONNX file too, checked in ONNX Runtime (the extra onnx).")
@click.option("--torch-export", "program", is_flag=True, help="A torch.export program too (network.pt2).")
@click.option("--int8", is_flag=True, help="An int8 network too, its Linears by each batch's own ranges.")
@click.option("--compile", "compiled", is_flag=True, help="Time torch.compile too, which takes a minute.")
@click.option("--storage", metavar="URL", help="The study's database, where its URL needs a password.")
@cluster_option
@click.pass_context
def export(
    ctx: click.Context,
    /,
    study: Place,
    target: Path,
    key: str | None,
    storage: str | None,
    cluster: Path | None,
    **asked: bool,
) -> None:
    """Take a trial's smaller network out of the study in DIR."""
    if cluster:
        from sweeps.cluster import away
        from sweeps.cluster.head import Head  # Ray's part that speaks to clouds takes seconds to import

        exporting.check_is_new(target)
        options = as_typed(ctx, frozenset({"study", "target"}))[1:]
        click.echo(away.fetch_network(Head(cluster), str(study), options, target), nl=False)
        return
    from sweeps.deployment import deploy  # torch and the task, which only this part needs

    wanted = deploy.Wanted(**asked)
    deploy.check(wanted)
    record = load_record(study, storage)
    trial = exporting.find(record, key)
    exporting.export(record, trial, target)
    click.echo(f"Trial {trial.key} is in {target}. To load it, with torch and your own model factory:\n")
    click.echo(f'    import pruners\n    network = pruners.load("{target}").apply(factory())')
    if (target / INT8).exists():
        click.echo(f'    int8 = pruners.load_int8("{target / INT8}")  # needs no factory')
    click.echo()
    for said in deploy.deploy(record, trial, target, wanted):
        click.echo(said)
