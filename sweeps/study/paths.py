"""Every path of a study directory, in one place."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StudyPaths:
    """Where a study keeps what; everything a person looks at later is below ``root``."""

    root: Path

    @property
    def sweep(self) -> Path:
        """The sweep file as resolved (defaults and ``--set`` written out)."""
        return self.root / "sweep.yaml"

    @property
    def provenance(self) -> Path:
        """Versions, git commit, seed, and the study's database URL without its password."""
        return self.root / "study.json"

    @property
    def journal(self) -> Path:
        """Optuna's journal, unless the study lives in a database."""
        return self.root / "journal.log"

    @property
    def lock(self) -> Path:
        """Held by the one driver that may run this study."""
        return self.root / "driver.lock"

    @property
    def store(self) -> Path:
        """The store of trajectories, unless the sweep names a shared one."""
        return self.root / "store"

    @property
    def test_readings(self) -> Path:
        """What the test split said, each network read once."""
        return self.root / "test.json"

    @property
    def report(self) -> Path:
        """The self-contained report."""
        return self.root / "report.html"

    @property
    def wandb(self) -> Path:
        """W&B's own folder: the runs that ``wandb sync`` uploads."""
        return self.root / "wandb"

    @property
    def ray(self) -> Path:
        """Ray Tune's own files, thrown away with each new driver."""
        return self.root / "ray"

    @property
    def best(self) -> Path:
        """The best network found, exported."""
        return self.root / "best"

    @property
    def trials(self) -> Path:
        """The trials' folders."""
        return self.root / "trials"

    def trial(self, key: int | str) -> Path:
        """One trial's folder; ``key`` is a trial number or a baseline's name."""
        return self.trials / str(key)

    def result(self, key: int | str) -> Path:
        """What the worker wrote at the end of a trial, before the study heard of it."""
        return self.trial(key) / "result.json"

    def networks(self, key: int | str) -> Path:
        """The smaller networks of a trial's replicates."""
        return self.trial(key) / "network"

    def network(self, key: int | str, seed: int) -> Path:
        """A trial's smaller network, as the artifact that makes it from the user's own factory."""
        return self.networks(key) / f"seed-{seed}"
