"""W&B's own files of a study's runs, one a run."""

from pathlib import Path


def run_files(folder: Path) -> list[Path]:
    """Return the files of all runs in W&B's folder of a study."""
    return sorted(folder.glob("offline-run-*/run-*.wandb"))


def mark(file: Path) -> Path:
    """Return the path of the mark by which ``wandb sync`` knows a run that was uploaded."""
    return file.with_suffix(".wandb.synced")


def unsent(folder: Path) -> list[Path]:
    """Return the files that W&B does not have, or not whole."""
    return [file for file in run_files(folder) if not mark(file).exists()]
