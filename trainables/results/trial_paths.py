"""Every path of a trial's folder, in one place."""

from dataclasses import dataclass

from trainables.config import MEASURING, TrialConfig
from trainables.places.place import Place, place_of


@dataclass(frozen=True)
class TrialPaths:
    """Where a trial keeps what."""

    directory: Place

    @staticmethod
    def of(config: TrialConfig) -> "TrialPaths":
        """Return the paths of a configured trial."""
        return TrialPaths(place_of(config.directory))

    @property
    def result(self) -> Place:
        """Return the path of what the worker writes at the end, before the study hears of it."""
        return self.directory / "result.json"

    @property
    def traceback(self) -> Place:
        """Return the path of a failed trial's traceback."""
        return self.directory / "error.txt"

    @property
    def measuring(self) -> Place:
        """Return the path of how many of the network's error curves are there, while others are measured."""
        return self.directory / MEASURING

    @property
    def networks(self) -> Place:
        """Return the folder of the replicates' compressed networks."""
        return self.directory / "network"

    def network(self, seed: int) -> Place:
        """Return the folder of one compressed network: the artifact that makes it from the user's own
        factory.
        """
        return self.networks / f"seed-{seed}"


def network_folder(config: TrialConfig, seed: int) -> Place:
    """Return the folder where a replicate's compressed network is kept as an artifact."""
    return TrialPaths.of(config).network(seed)


def is_seen(study: str) -> bool:
    """Tell whether this machine sees the folder of a study, which its driver has begun."""
    return (place_of(study) / "study.json").exists()


def not_seen(node: str, study: str) -> str:
    """Say that a node does not see the folder of a study, and what to do."""
    return (
        f"node {node} does not see {study}. Every node must see the study under the same path: mount a "
        "shared file system there, or give --out a URL of an object store."
    )
