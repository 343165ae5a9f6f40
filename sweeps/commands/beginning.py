"""How ``run`` and ``resume`` begin a study whose driver is not this process."""

import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import sweeps
from sweeps.commands.options.cluster_option import NAME, as_typed
from sweeps.errors import USAGE, SweepError
from sweeps.study.database.url import holds_password
from sweeps.study.driver.held import folder_lock
from sweeps.study.paths import StudyPaths
from sweeps.sweep_file.yaml_file import parse_value
from trainables.places.place import Place

_HERE_ONLY = frozenset({"sweep_file", "study", "out", "detach", "without_hints", "address", NAME})


def check_no_password(options: Mapping[str, Any], sweep: "sweeps.Sweep | None" = None) -> None:
    """Check that no password goes to a cluster: by the command's words or a sweep file that is sent.

    Ray keeps the command of each driver and shows it to all who may use the cluster. Raises `SweepError`.
    """
    if not (options["cluster"] or options["detach"] or options["address"]):
        return
    sent = [sweep.file.storage.study] if sweep and options["cluster"] else []
    if any(url and holds_password(url) for url in (*_storage_urls(options), *sent)):
        raise SweepError(
            "storage.study: its password would be kept on the cluster, where all who may use it can read it. "
            "Write ${NAME} in its place, a variable of the driver's environment, or keep it in ~/.pgpass.",
            USAGE,
        )


def _storage_urls(options: Mapping[str, Any]) -> Iterator[str | None]:
    """Yield what the command's words say of where the study lives."""
    yield options["storage"]
    for text in options["overrides"]:
        name, _, value = text.partition("=")
        given = parse_value(value) if name in ("storage", "storage.study") else None
        given = given.get("study") if isinstance(given, Mapping) else given
        yield given if isinstance(given, str) else None


def begin_as_job(ctx: click.Context, study: Place, without_hints: bool) -> int:
    """Begin the study as a job of the Ray cluster that this machine is the head of.

    Raises `SweepError` with the driver's exit code where it cannot begin.
    """
    from sweeps.cluster import job

    if ctx.params["without_ray"]:
        raise SweepError(
            "--detach runs a study as a job of a Ray cluster and --in-process without one.", USAGE
        )
    first = (
        [str(ctx.params["sweep_file"].absolute()), "--out", str(study)] if "sweep_file" in ctx.params else []
    )
    words = [
        str(ctx.info_name),
        *(first or [str(study)]),
        *as_typed(ctx, _HERE_ONLY)[1:],
        "--address",
        "auto",
    ]
    lock = folder_lock(StudyPaths(study))
    job.submit(job.name_of(study), words, lambda: lock.driver() is not None, sys.stdout.write)
    if not without_hints:
        _say_how_to_look(str(study), [])
    return 0


def begin_far_away(
    ctx: click.Context, cluster: Path, study: str, sweep: tuple[Path, "sweeps.Sweep"] | None = None
) -> int:
    """Begin the study on the head of a cluster, from a sweep file here or from what the study keeps."""
    from sweeps.cluster import away
    from sweeps.cluster.head import Head

    if ctx.params["without_ray"] or ctx.params["address"]:
        raise SweepError("--cluster names the cluster: leave out --address and --in-process.", USAGE)
    head = Head(cluster)
    click.echo(f"Sending the sweep and its code to {head} ...")
    options = ["--without-hints", *as_typed(ctx, _HERE_ONLY)[1:]]
    if sweep is None:
        code = away.resume(head, study, options)
    else:
        code = away.run(head, *sweep, [f"--out={study}", *options])
    if code == 0:
        click.echo(f"{study} runs on {head}, also when this machine goes to sleep.")
        _say_how_to_look(study, ["--cluster", str(cluster)])
    return code


def _say_how_to_look(study: str, where: list[str]) -> None:
    ways = {
        "how far it is": ["status", study, *where],
        "what it says": ["logs", study, "--follow", *where],
        "its report": ["report", study, *where],
        "to stop it": ["stop", study, *where],
    }
    for name, words in ways.items():
        click.echo(f"{name + ':':<16}{shlex.join(['tombola', *words])}")
