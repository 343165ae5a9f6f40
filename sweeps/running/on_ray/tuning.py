"""Run a study's trials as Ray Tune trials, on this machine or on a cluster that is already up."""

import contextlib
import shutil
from collections.abc import Callable
from typing import Any

from ray import get_runtime_context, tune

from sweeps.running.conductor import Conductor
from sweeps.running.on_ray import room, sight
from sweeps.running.on_ray.head_watch import watched
from sweeps.running.on_ray.nodes import Nodes
from sweeps.running.on_ray.searcher import StudySearcher
from sweeps.running.on_ray.signals import own_signals, stopping_gently
from sweeps.running.retries import TuneTrials
from sweeps.search.schedulers import TrialScheduler
from sweeps.study.paths import StudyPaths
from sweeps.sweep_file.keys import Resources
from trainables.trials.ray_trainable import TrialTrainable


def run(
    conductor: Conductor,
    scheduler: TrialScheduler,
    resources: Resources,
    paths: StudyPaths,
    is_local: bool,
    say: Callable[[str], None],
) -> None:
    """Run trials on Ray until the study is done, or a person stops it, which ``say`` then tells.

    Raises `SweepError` where this machine (``is_local``) has no room for one, or a node of the cluster does
    not see the study.
    """
    if is_local:
        room.check(resources)
    else:
        room.say_if_nothing_fits(resources)
        sight.check(paths)
    nodes = Nodes(resources)
    head = (
        contextlib.nullcontext() if is_local else watched(get_runtime_context().gcs_address, conductor.study)
    )
    with head:
        is_over = False
        while not is_over:
            with own_signals(), stopping_gently(say) as is_asked:
                is_over = _fit(conductor, scheduler, resources, paths, nodes) or is_asked()


def _fit(
    conductor: Conductor, scheduler: TrialScheduler, resources: Resources, paths: StudyPaths, nodes: Nodes
) -> bool:
    """Let Tune run trials; False where it is to begin anew, since one waited for nodes that are gone."""
    shutil.rmtree(paths.ray, ignore_errors=True)
    tunes = TuneTrials()
    searcher = StudySearcher(conductor, tunes, nodes)
    stuck = _Stuck(searcher)
    tuner = tune.Tuner(
        tune.with_resources(TrialTrainable, room.request(resources)),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            # The searcher ends the sweep, not a number. It also hands a dead worker's trial out again:
            # Tune's own retries give up a trial whose worker dies while it is between two trials.
            num_samples=10**9,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=paths.ray.name,
            storage_path=str(paths.ray.parent.resolve()),
            # A trial's state lies in the store. Nodes that share nothing but that have no place for Tune's.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
            callbacks=[tunes],
            stop=stuck,
        ),
    )
    tuner.fit()
    if searcher.error:
        raise searcher.error
    if stuck.was:
        searcher.put_back()
    return not stuck.was


class _Stuck(tune.Stopper):
    """Ends Tune's loop where a trial waits for nodes that are gone.

    What Tune was asked for cannot be changed.
    """

    def __init__(self, searcher: StudySearcher):
        self._searcher = searcher
        self.was = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Stop all trials where nothing else helps."""
        self.was = self.was or self._searcher.is_stuck
        return self.was
