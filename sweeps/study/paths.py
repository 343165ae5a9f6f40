"""Every path of a study directory, in one place."""

import os
from dataclasses import dataclass
from pathlib import Path

from trainables.places.object_path import ObjectPath
from trainables.places.place import Place
from trainables.results.trial_paths import TrialPaths


@dataclass(frozen=True)
class StudyPaths:
    """Where a study keeps what; everything a person looks at later is below ``root``."""

    root: Place

    @property
    def sweep(self) -> Place:
        """Return the path of the sweep file as resolved (defaults and ``--set`` written out)."""
        return self.root / "sweep.yaml"

    @property
    def provenance(self) -> Place:
        """Return the path of study.json.

        It holds versions, git commit, seed, and the study's database URL without its password.
        """
        return self.root / "study.json"

    @property
    def journal(self) -> Place:
        """Return the path of Optuna's journal, used unless the study lives in a database.

        In an object store it is a folder.
        """
        return self.root / ("journal" if isinstance(self.root, ObjectPath) else "journal.log")

    @property
    def local(self) -> Path:
        """Return the folder of this machine for what other programs write, which know no object store.

        It is the study's own, or one below the user's cache folder.
        """
        if not isinstance(self.root, ObjectPath):
            return self.root
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        return cache / "tombola" / str(self.root).replace("://", "/")

    @property
    def lock(self) -> Place:
        """Return the path of the lock that the one driver holds that may run this study."""
        return self.root / ("driver" if isinstance(self.root, ObjectPath) else "driver.lock")

    @property
    def store(self) -> Place:
        """Return the store of trajectories, used unless the sweep names a shared one."""
        return self.root / "store"

    @property
    def test_readings(self) -> Place:
        """Return the path of what the test split said, each network read once."""
        return self.root / "test.json"

    @property
    def report(self) -> Place:
        """Return the path of the self-contained report."""
        return self.root / "report.html"

    @property
    def wandb(self) -> Path:
        """Return W&B's own folder: the runs that ``wandb sync`` uploads."""
        return self.local / "wandb"

    @property
    def ray(self) -> Path:
        """Return the folder of Ray Tune's own files, thrown away with each new driver."""
        return self.local / "ray"

    @property
    def best(self) -> Place:
        """Return the folder of the best network found, exported."""
        return self.root / "best"

    @property
    def trials(self) -> Place:
        """Return the folder of the trials' folders."""
        return self.root / "trials"

    def trial(self, key: int | str) -> Place:
        """Return one trial's folder; ``key`` is a trial number or a baseline's name."""
        return self.trials / str(key)

    def result(self, key: int | str) -> Place:
        """Return the path of what the worker wrote at the end of a trial, before the study heard of it."""
        return TrialPaths(self.trial(key)).result

    def measuring(self, key: int | str) -> Place:
        """Return the path of how many error curves are measured for a trial, while they are.

        Trials that are scored without training have the first trial's.
        """
        return TrialPaths(self.trial(key)).measuring

    def networks(self, key: int | str) -> Place:
        """Return the folder of the smaller networks of a trial's replicates."""
        return TrialPaths(self.trial(key)).networks

    def network(self, key: int | str, seed: int) -> Place:
        """Return the folder of a trial's smaller network.

        It is the artifact that makes the network from the user's own factory.
        """
        return TrialPaths(self.trial(key)).network(seed)
