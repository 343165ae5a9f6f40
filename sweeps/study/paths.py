"""Every path of a study directory, in one place."""

from dataclasses import dataclass
from pathlib import Path

from trainables.results.trial_paths import TrialPaths


@dataclass(frozen=True)
class StudyPaths:
    """Where a study keeps what; everything a person looks at later is below ``root``."""

    root: Path

    @property
    def sweep(self) -> Path:
        """Return the path of the sweep file as resolved (defaults and ``--set`` written out)."""
        return self.root / "sweep.yaml"

    @property
    def provenance(self) -> Path:
        """Return the path of study.json.

        It holds versions, git commit, seed, and the study's database URL without its password.
        """
        return self.root / "study.json"

    @property
    def journal(self) -> Path:
        """Return the path of Optuna's journal, used unless the study lives in a database."""
        return self.root / "journal.log"

    @property
    def lock(self) -> Path:
        """Return the path of the lock that the one driver holds that may run this study."""
        return self.root / "driver.lock"

    @property
    def store(self) -> Path:
        """Return the store of trajectories, used unless the sweep names a shared one."""
        return self.root / "store"

    @property
    def test_readings(self) -> Path:
        """Return the path of what the test split said, each network read once."""
        return self.root / "test.json"

    @property
    def report(self) -> Path:
        """Return the path of the self-contained report."""
        return self.root / "report.html"

    @property
    def wandb(self) -> Path:
        """Return W&B's own folder: the runs that ``wandb sync`` uploads."""
        return self.root / "wandb"

    @property
    def ray(self) -> Path:
        """Return the folder of Ray Tune's own files, thrown away with each new driver."""
        return self.root / "ray"

    @property
    def best(self) -> Path:
        """Return the folder of the best network found, exported."""
        return self.root / "best"

    @property
    def trials(self) -> Path:
        """Return the folder of the trials' folders."""
        return self.root / "trials"

    def trial(self, key: int | str) -> Path:
        """Return one trial's folder; ``key`` is a trial number or a baseline's name."""
        return self.trials / str(key)

    def result(self, key: int | str) -> Path:
        """Return the path of what the worker wrote at the end of a trial, before the study heard of it."""
        return TrialPaths(self.trial(key)).result

    def measuring(self, key: int | str) -> Path:
        """Return the path of how many error curves are measured for a trial, while they are.

        Trials that are scored without training have the first trial's.
        """
        return TrialPaths(self.trial(key)).measuring

    def networks(self, key: int | str) -> Path:
        """Return the folder of the smaller networks of a trial's replicates."""
        return TrialPaths(self.trial(key)).networks

    def network(self, key: int | str, seed: int) -> Path:
        """Return the folder of a trial's smaller network.

        It is the artifact that makes the network from the user's own factory.
        """
        return TrialPaths(self.trial(key)).network(seed)
