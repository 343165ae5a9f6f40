"""Any trial as a Ray Tune trainable. The package does not import it: Ray Tune takes seconds that a trial
alone does without.
"""

import json
from pathlib import Path
from typing import Any

from ray import tune

from trainables.config import trial_config
from trainables.trials.trial import Trial


class TrialTrainable(tune.Trainable):
    """A `Trial` as Ray Tune runs it; ``config["trial"]`` is a `TrialConfig` as plain data.

    All state lies in the store, so Ray's checkpoint only notes which trial it was, and an actor is reused for
    the next trial with its data and dense networks still in memory.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Take on a trial; nothing heavy happens yet."""
        self.trial = Trial(trial_config.validate_python(config["trial"]))

    def step(self) -> dict[str, Any]:
        """Take one step of the trial; its last ends it for Ray too."""
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
        """Leave the trial."""
        self.trial.close()
