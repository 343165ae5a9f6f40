"""Any trial as a Ray Tune trainable. The package does not import it: Ray Tune takes seconds that a trial
alone does without.
"""

import json
from pathlib import Path
from typing import Any

from ray import tune
from ray.util import get_node_ip_address

from trainables.config import TrialConfig, trial_config
from trainables.results.trial_paths import is_seen, not_seen
from trainables.trials.ray_group import RayGroup
from trainables.trials.trial import Trial


class TrialTrainable(tune.Trainable):
    """A `Trial` as Ray Tune runs it; ``config["trial"]`` is a `TrialConfig` as plain data.

    ``config["study"]`` is the folder that this node must see, which may have joined the cluster just now.

    All state lies in the store, so Ray's checkpoint only notes which trial it was, and an actor is reused for
    the next trial with its data and dense networks still in memory. So are the processes that it trains with,
    where trials have several.
    """

    group: RayGroup | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Take on a trial; nothing heavy happens yet."""
        trial: TrialConfig = trial_config.validate_python(config["trial"])
        if trial.processes > 1 and self.group is None:
            self.group = RayGroup(trial.processes)
        self.trial = Trial(trial, self.group)
        self.study, self.is_new = str(config["study"]), True

    def step(self) -> dict[str, Any]:
        """Take one step of the trial; its last ends it for Ray too."""
        if self.is_new and not is_seen(self.study):
            reason = not_seen(get_node_ip_address(), self.study)
            return {"failed": reason, "stops_study": True, "final": True, "done": True}
        self.is_new = False
        metrics = self.trial.step()
        return {**metrics, "done": metrics["final"]}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Note which trial this is."""
        (Path(checkpoint_dir) / "trial.json").write_text(json.dumps({"key": self.trial.config.key}))

    def load_checkpoint(self, checkpoint: str | None) -> None:
        """Read nothing: the trial finds its last snapshots in the store."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Leave the trial and take on another."""
        self.trial.close()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Leave the trial, and end the processes that it trains with."""
        self.trial.close()
        if self.group:
            self.group.close()
