"""Which networks and trajectories stay, as the sweep's ``retention`` says."""

import time
from typing import Any

from sweeps.study.paths import StudyPaths
from sweeps.study.record import StudyRecord
from sweeps.sweep_file.keys import Retention
from trainables.places.folders import last_written, remove_tree
from trainables.places.place import Place, place_of
from trainables.store.computed import computed_for
from trainables.store.removal import remove
from trainables.store.training_log import trainers

_DAY = 86400.0


def expire(retention: Retention, store: Place) -> None:
    """Remove trajectories that are too old, where the sweep gives them a number of days."""
    if isinstance(retention.trajectories, float):
        oldest = time.time() - retention.trajectories * _DAY
        remove(store, lambda folder: last_written(folder) < oldest)


def keep_what_is_wanted(retention: Retention, store: Place, paths: StudyPaths, record: StudyRecord) -> None:
    """Remove what a complete study does not keep.

    Its results stay, and a trajectory that is asked for again is trained again.
    """
    if retention.networks == "best":
        kept = {trial.key for trial in (*record.front, record.best, record.nearest) if trial}
        for folder in paths.trials.glob("*"):
            if folder.name not in kept:
                remove_tree(paths.networks(folder.name))
    if retention.trajectories == "study":
        remove(store, lambda folder: store == paths.store.resolve() or _is_of(paths, folder))


def _is_of(paths: StudyPaths, folder: Place) -> bool:
    """Tell whether the trials of this study alone trained a trajectory, or asked for what is computed."""
    trials: Any = paths.trials.resolve()
    names = trainers(folder) | computed_for(folder)
    return bool(names) and all(place_of(name).is_relative_to(trials) for name in names)
