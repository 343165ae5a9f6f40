"""What determines a network, as plain data: the addresses of the store are hashes of it."""

from dataclasses import asdict
from typing import Any

from trainables.config import TrainingConfig
from trainables.stages import Adopt, Compress, Stage, Train
from trainables.task import task
from trainables.training.optimizer import is_built_in, reference
from trainables.users_code import factory
from trainables.users_code.methods import method_source
from trainables.users_code.source_digest import source_digests


def training_identity(training: TrainingConfig, processes: int) -> dict[str, Any]:
    """Describe a training as plain data, with the source of an optimiser of the user's own, and among how
    many processes it is spread where they are several.
    """
    plain = asdict(training) | ({"processes": processes} if processes > 1 else {})
    if is_built_in(training) or training.optimizer.startswith("torch."):
        return plain
    named = reference(training)
    factory.resolve(named, "optimizer")
    return plain | {"optimizer_source": source_digests([named])}


def is_in_time(stage: Stage) -> bool:
    """Tell whether a stage compresses within a budget in time."""
    compress = stage.penalty.compress if isinstance(stage, Train) and stage.penalty else stage
    return isinstance(compress, Compress) and compress.budget.latency_ratio is not None


def stage_identity(stage: Stage, processes: int = 1) -> dict[str, Any]:
    """Describe a stage as plain data, for the address of what comes after it.

    ``processes`` are those among which what it trains elsewhere is spread.
    """
    if isinstance(stage, Adopt):
        stages = [stage_identity(one, processes) for one in stage.recipe]
        return {
            "stage": "Adopt",
            "task": task.task_identity(stage.task),
            "training": training_identity(stage.training, processes),
            "stages": stages,
        }
    plain = asdict(stage)
    # an address of before there were any of these stays what it was
    inner = [plain.get(name) or {} for name in ("changing", "penalty")]
    for compress in (plain, *(one.get("compress", {}) for one in (plain, *inner))):
        if source := method_source(compress.get("method", "")):
            compress["method_source"] = source
        if not compress.get("calibration_images", True):
            del compress["calibration_images"]
        if (budget := compress.get("budget")) and budget["latency_ratio"] is None:
            del budget["latency_ratio"]
    for name in ("distillation", "changing", "penalty"):
        if not plain.get(name, True):
            del plain[name]
    return {"stage": type(stage).__name__, **plain}
