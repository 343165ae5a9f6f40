"""A driver as a job of the Ray cluster that this machine is the head of: it outlives who submitted it."""

import asyncio
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from sweeps.errors import FAILED, SweepError
from trainables.places.place import Place

_DASHBOARD = "http://127.0.0.1:8265"
_STUDY = "tombola_study"
_TIME_TO_STOP = 300
"""Seconds that a driver has to end in good order once it is told to."""
_TIME_TO_BEGIN = 180.0
_POLL = 0.5
_RAYS_LAST_WORDS = "Running entrypoint for job "
"""What Ray's own lines at the head of a job's log end with."""


def name_of(study: Place) -> str:
    """Return the name under which the jobs of a study are found, wherever the command is given."""
    return str(study.absolute() if isinstance(study, Path) else study)


def submit(
    study: str, arguments: Sequence[str], has_begun: Callable[[], bool], say: Callable[[str], object]
) -> str:
    """Submit ``tombola`` with these arguments as the driver of a study, and wait until it has begun.

    ``study`` is the study's folder or URL. Returns the job's name. Raises `SweepError` with what the driver
    said where it ends before ``has_begun``.
    """
    client = _client()
    if running := _running(client, study):
        raise SweepError(
            f"{study}: the job {running} is running this study. Wait for it, or stop it first.", FAILED
        )
    modules = [f"PYTHONPATH={os.environ['PYTHONPATH']}"] if os.environ.get("PYTHONPATH") else []
    words = ["exec", "env", *modules, sys.executable, "-m", "tombola", *arguments]
    command = f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(words)}"
    name = client.submit_job(
        entrypoint=command,
        submission_id=f"{Path(study).name}-{uuid.uuid4().hex[:6]}",
        metadata={_STUDY: study},
        runtime_env={"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(_TIME_TO_STOP)}},
    )
    said, deadline = "", time.monotonic() + _TIME_TO_BEGIN
    while not has_begun() and time.monotonic() < deadline:
        status, log = client.get_job_status(name), _without_rays_words(client.get_job_logs(name))
        say(log.removeprefix(said))
        said = log
        if status.is_terminal():
            break
        time.sleep(_POLL)
    if client.get_job_status(name) == JobStatus.FAILED:
        code = client.get_job_info(name).driver_exit_code
        raise SweepError(f"{study}: its driver ended before the study began.", code or FAILED)
    if time.monotonic() >= deadline:
        say(f"The study has not begun after {_TIME_TO_BEGIN:.0f} s; its driver, the job {name}, goes on.\n")
    return name


def stop(study: str) -> str:
    """Tell the study's driver to end in good order, wait until it has, and return the job's name.

    Raises `SweepError` where none runs.
    """
    client = _client()
    name = _running(client, study)
    if name is None:
        raise SweepError(f"{study}: no job of this cluster runs this study.", FAILED)
    client.stop_job(name)
    while not client.get_job_status(name).is_terminal():
        time.sleep(_POLL)
    return name


def print_log(study: str, follow: bool, say: Callable[[str], object]) -> None:
    """Print what the study's last driver has said, and with ``follow`` go on until it ends.

    Raises `SweepError` where the cluster has had none.
    """
    client = _client()
    jobs = _jobs(client, study)
    if not jobs:
        raise SweepError(
            f"{study}: no job of this cluster has run this study since its head started.", FAILED
        )
    name = _name(jobs[-1])
    if follow:
        asyncio.run(_follow(client, name, say))
    else:
        say(_without_rays_words(client.get_job_logs(name)))


async def _follow(client: JobSubmissionClient, name: str, say: Callable[[str], object]) -> None:
    async for lines in client.tail_job_logs(name):
        say(lines)


def _without_rays_words(log: str) -> str:
    """Return what the driver itself said."""
    _, last_words, after = log.partition(_RAYS_LAST_WORDS)
    return after.partition("\n")[2] if last_words else ""


def _client() -> JobSubmissionClient:
    try:
        return JobSubmissionClient(_DASHBOARD)
    except (ConnectionError, RuntimeError) as error:
        raise SweepError(
            f"This machine is not the head of a Ray cluster: nothing answers at {_DASHBOARD}. "
            "From another machine, give --cluster with the cluster's file.",
            FAILED,
        ) from error


def _jobs(client: JobSubmissionClient, study: str) -> list[JobDetails]:
    """Return the jobs that ran a study, the last one last."""
    ours = [job for job in client.list_jobs() if (job.metadata or {}).get(_STUDY) == study]
    return sorted(ours, key=lambda job: job.start_time or 0)


def _running(client: JobSubmissionClient, study: str) -> str | None:
    return next((_name(job) for job in _jobs(client, study) if not job.status.is_terminal()), None)


def _name(job: JobDetails) -> str:
    return str(job.submission_id)
