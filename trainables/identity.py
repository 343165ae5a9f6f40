"""What determines a network, as plain data: the addresses of the store are hashes of it."""

from dataclasses import asdict
from typing import Any

from trainables import task
from trainables.stages import Adopt, Stage


def of_stage(stage: Stage) -> dict[str, Any]:
    """A stage as plain data, for the address of what comes after it."""
    if isinstance(stage, Adopt):
        stages = [of_stage(one) for one in stage.recipe]
        return {"stage": "Adopt", "task": task.identity(stage.task), "training": asdict(stage.training), "stages": stages}
    return {"stage": type(stage).__name__, **asdict(stage)}
