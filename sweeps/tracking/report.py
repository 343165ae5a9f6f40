"""A study's W&B Report: what was run and found, beside W&B's own charts of its runs."""

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import wandb

from sweeps.errors import FAILED, SweepError
from sweeps.study.record import StudyRecord
from sweeps.tracking.mode import choose_mode, quiet
from trainables.places.place import Place, write_whole

_MISSING = (
    "--wandb needs the package wandb-workspaces, which is not installed: `pip install 'tombola[report]'`."
)
_ATTEMPTS, _TIMEOUT = 2, 10.0  # seconds; a server that does not answer costs a minute at most


def write_wandb_report(record: StudyRecord, path: Place) -> str | None:
    """Build the study's W&B Report into a file, and publish it where W&B can be reached.

    Returns its address, None where W&B is offline. The same study has one report: published again, it is
    written over.

    Raises:
        SweepError: wandb-workspaces is missing, or W&B does not take the report, which is in the file then.
    """
    try:
        from sweeps.tracking import report_blocks
    except ImportError as error:
        raise SweepError(_MISSING) from error
    asked = record.sweep.get("wandb") or {}
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    report = report_blocks.report(record)
    report.id = held.get("id") or ""
    _write(path, report, held.get("url"))
    if choose_mode(asked.get("mode")) != "online":
        return None
    settings = quiet()
    settings.root_dir = tempfile.gettempdir()  # else wandb makes a folder here
    settings.x_graphql_retry_max, settings.x_graphql_timeout_seconds = _ATTEMPTS, _TIMEOUT
    wandb.teardown()  # settings are read once a process
    wandb.setup(settings=settings)
    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    try:
        report.entity = report.entity or wandb.Api().default_entity or ""
        if not report.entity:
            raise ValueError("this key has no entity of its own; give the sweep file one")
        report.save()
        url = str(report.url)
    except Exception as error:  # wandb raises many kinds
        said = " ".join((str(error) or type(error).__name__).split())
        raise SweepError(
            f"W&B did not take the report ({said}). It is in {path}; the same command publishes it later.",
            FAILED,
        ) from error
    _write(path, report, url)
    return url


def _write(path: Place, report: Any, url: str | None) -> None:
    """Write what W&B is sent, with the report's id there where it has one."""
    model = report._to_model()
    spec = model.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    told = {"id": report.id, "url": url, "title": report.title, "description": report.description}
    write_whole(path, json.dumps({**told, "spec": spec}, indent=1).encode())


def report_path(root: Place) -> Place | Path:
    """Return the path of a study's W&B Report."""
    return root / "wandb_report.json"
