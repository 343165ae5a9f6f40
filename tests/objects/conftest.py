"""The command in this very process, on studies of a real S3 server; no run of W&B."""

from tests.sweeps.conftest import tombola, without_wandb

__all__ = ["tombola", "without_wandb"]
