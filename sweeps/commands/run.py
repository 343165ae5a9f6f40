"""``tombola run`` and ``tombola resume``."""

import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import sweeps  # with what reads a sweep comes torch, which takes seconds: a person hears of it first
from sweeps.commands.beginning import begin_as_job, begin_far_away, check_no_password
from sweeps.commands.options.cluster_option import cluster_option
from sweeps.commands.options.study_folder import StudyFolder
from sweeps.errors import INFEASIBLE, INTERRUPTED, TOO_MANY_FAILED, SweepError
from sweeps.running.own_token import guard_own_ray
from sweeps.study.closing_table import closing_table, failed_baselines
from sweeps.study.paths import StudyPaths
from sweeps.study.provenance import read_provenance
from sweeps.study.record import StudyRecord
from sweeps.tracking.run_files import unsent
from trainables.places.place import Place

_where = [
    click.option(
        "--trials", type=click.IntRange(min=1), help="How many trials the study shall have in all (run_cap)."
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a key of the sweep file, as in --set training.epochs=5.",
    ),
    click.option(
        "--storage", metavar="URL", help="Any Optuna storage URL; without it a journal in the study's folder."
    ),
    click.option(
        "--address", metavar="RAY", help="A Ray cluster that is already up, as in 10.0.0.5:6379 or auto."
    ),
    click.option(
        "--in-process",
        "without_ray",
        is_flag=True,
        help="Run trials one by one in this process, without Ray.",
    ),
    click.option(
        "--detach",
        is_flag=True,
        help="On the head of a Ray cluster: run as a job of it, and come back once the study has begun.",
    ),
    click.option("--without-hints", is_flag=True, hidden=True),
    cluster_option,
]
"""Options that running and resuming share."""


def _with_shared_options(command: Any) -> Any:
    for option in reversed(_where):
        command = option(command)
    return command


@click.command()
@click.argument("sweep_file", type=click.Path(path_type=Path), metavar="SWEEP.yaml")
@click.option(
    "--out",
    type=StudyFolder(),
    help="The study's folder (default: runs/<name>).",
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the search and of the first replicate.")
@click.option("--dry-run", is_flag=True, help="Say what would run, and train nothing.")
@_with_shared_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    sweep_file: Path,
    out: Place | None,
    seed: int | None,
    dry_run: bool,
    **options: Any,
) -> int:
    """Run a sweep, or go on with the study that its folder holds."""
    if not dry_run and not options["detach"]:
        click.echo(f"Reading {sweep_file}, its network and its data ...")
    sweep = sweeps.Sweep.from_file(sweep_file, _overrides(options, seed))
    if not dry_run:
        check_no_password(options, sweep)
    if options["cluster"] and not dry_run:
        study = str(out or sweep.file.name)
        return begin_far_away(ctx, options["cluster"], study, (sweep_file, sweep))
    out = out or Path("runs") / sweep.file.name
    if options["detach"]:
        return begin_as_job(ctx, out, options["without_hints"])
    if dry_run:
        from sweeps.search.dry_run import dry_run_text
        from sweeps.search.prepare import prepare

        click.echo(dry_run_text(prepare(sweep)))
        return 0
    return _run(sweep, out, options)


@click.command()
@click.argument("study", type=StudyFolder(), metavar="DIR")
@_with_shared_options
@click.pass_context
def resume(ctx: click.Context, /, study: Place, **options: Any) -> int:
    """Go on with the study in DIR, from the sweep that it keeps."""
    check_no_password(options)
    if options["cluster"]:
        return begin_far_away(ctx, options["cluster"], str(study))
    read_provenance(StudyPaths(study))
    if options["detach"]:
        return begin_as_job(ctx, study, options["without_hints"])
    click.echo(f"Reading {StudyPaths(study).sweep}, its network and its data ...")
    return _run(sweeps.Sweep.from_file(StudyPaths(study).sweep, _overrides(options, None)), study, options)


def _overrides(options: dict[str, Any], seed: int | None) -> list[str]:
    """Return the command's own options as ``--set`` texts.

    What a person sets by hand comes last and wins.
    """
    named = {"run_cap": options["trials"], "storage.study": options["storage"], "seed": seed}
    return [f"{key}={value}" for key, value in named.items() if value is not None] + list(
        options["overrides"]
    )


def _run(sweep: "sweeps.Sweep", out: Place, options: dict[str, Any]) -> int:
    if options["without_ray"] and options["address"]:
        raise SweepError(
            "--address runs trials on a Ray cluster and --in-process without one; give one of them."
        )
    console = Console(highlight=False)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # a scheduler's or a spot machine's way to say Ctrl-C
    if not options["without_ray"] and options["address"] is None:
        guard_own_ray()
    try:
        record = sweeps.run(
            sweep, out, address=options["address"], without_ray=options["without_ray"], console=console
        )
    except KeyboardInterrupt:
        begun = StudyPaths(out).provenance.exists()
        how = (
            f"Go on with: {_resume_command(out, options)}"
            if begun
            else "Nothing had begun: give the same command again."
        )
        print(f"tombola: interrupted; nothing is lost. {how}", file=sys.stderr)
        return INTERRUPTED
    _tell_end(console, sweep, record, out, options)
    if 2 * record.count("failed") > record.target:
        return TOO_MANY_FAILED
    return INFEASIBLE if record.nearest else 0


def _resume_command(out: Place, options: dict[str, Any]) -> str:
    address = ["--address", options["address"]] if options["address"] else []
    return shlex.join(
        [
            _program("tombola"),
            "resume",
            str(out),
            *address,
            *(["--in-process"] if options["without_ray"] else []),
        ]
    )


def _program(name: str) -> str:
    """Return a program of our environment as this person can type it.

    That is by its name alone only where the shell finds it.
    """
    beside = Path(sys.argv[0]).with_name(name)
    return name if shutil.which(name) or not beside.exists() else str(beside)


def _tell_end(
    console: Console, sweep: "sweeps.Sweep", record: StudyRecord, out: Place, options: dict[str, Any]
) -> None:
    paths = StudyPaths(out)
    if record.best or record.nearest:
        console.print(closing_table(record))
    if record.best:
        console.print(
            "Test was read once for each of its figures, after the search; nothing was selected by it.\n",
            soft_wrap=True,
        )
    if nearest := record.nearest:
        console.print(
            f"No trial keeps every constraint. The nearest, trial {nearest.key}, "
            f"misses {record.misses(nearest)}.",
            soft_wrap=True,
            markup=False,
        )
    for sentence in failed_baselines(record):
        console.print(sentence, soft_wrap=True, markup=False)
    console.print(_counts(record))
    console.print(_epochs(sweep, record), soft_wrap=True)
    if record.time_is_up:
        go_on = _resume_command(out, options)
        console.print(
            f"The time limit of {sweep.file.time_limit} was reached. Go on with: {go_on}",
            soft_wrap=True,
            markup=False,
        )
    lines = {
        "report": paths.report,
        "smaller network": paths.best if record.best else None,
        "study": paths.root,
        "more trials": None
        if record.time_is_up
        else f"{_resume_command(out, options)} {_more_trials(record)}",
        "upload to W&B": shlex.join([_program("wandb"), "sync", "--yes", str(paths.wandb)])
        if unsent(paths.wandb)
        else None,
    }
    for name, value in lines.items():
        if value is not None:
            console.print(f"{name + ':':<17}{value}", soft_wrap=True, markup=False)


def _more_trials(record: StudyRecord) -> str:
    """Return the options that give the study twice as many trials; at least as many must be screened."""
    screen, wanted = record.sweep.get("screen"), 2 * max(record.target, record.sweep["run_cap"])
    if not screen or (wanted <= screen["trials"] and record.target == record.sweep["run_cap"]):
        return f"--trials {2 * record.target}"
    return f"--trials {wanted} --set screen.trials={max(wanted, 2 * screen['trials'])}"


def _counts(record: StudyRecord) -> str:
    words = [f"{record.count('complete')} of {record.target} trials complete"]
    words += [
        f"{record.count(o)} {o.replace('_', ' ')}"
        for o in ("stopped_early", "failed", "infeasible")
        if record.count(o)
    ]
    return ", ".join(words) + "."


def _epochs(sweep: "sweeps.Sweep", record: StudyRecord) -> str:
    from sweeps.search.epochs import epochs_if_alone, epochs_trained, format_epochs
    from sweeps.search.prepare import prepare

    told = f"{format_epochs(epochs_trained(record))} epochs trained"
    apart = epochs_if_alone(prepare(sweep), record)
    return (
        f"{told}; {format_epochs(apart)} if each trial had stood alone." if apart is not None else f"{told}."
    )
