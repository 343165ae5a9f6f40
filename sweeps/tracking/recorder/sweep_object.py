"""The study as a W&B sweep, so that W&B's own sweep page shows its runs."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

_WITHIN = 10.0  # seconds; without an answer by then this driver's runs belong to no sweep


def sweep_id(settings: Mapping[str, Any]) -> str | None:
    """Return the id of the study's W&B sweep, made at the server once in the study's life.

    None where none is asked for, and where there is no server.
    """
    noted = Path(settings["folder"]) / "sweep.json"
    if settings["sweep"] is None:
        return None
    if not noted.exists() and settings["online"]:
        # nobody can stop a call of wandb's that hangs
        made = threading.Thread(target=_make, args=(settings, noted), daemon=True)
        made.start()
        made.join(_WITHIN)
    return json.loads(noted.read_text())["id"] if noted.exists() else None


def _make(settings: Mapping[str, Any], noted: Path) -> None:
    made = wandb.sweep(dict(settings["sweep"]), entity=settings["entity"], project=settings["project"])
    whole = noted.with_suffix(".new")
    whole.write_text(json.dumps({"id": made}))
    whole.rename(noted)
