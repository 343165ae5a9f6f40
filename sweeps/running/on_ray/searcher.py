"""Ray Tune's view of the conductor: a Searcher whose only state is the Optuna study."""

import time
from typing import Any

from ray.tune.result import NODE_IP
from ray.tune.search import Searcher

from sweeps.errors import SweepError
from sweeps.running.conductor import Conductor
from sweeps.running.on_ray.nodes import Nodes
from sweeps.running.retries import TuneTrials
from trainables.config import trial_config

_EVERY = 5.0
"""Seconds between two looks at whether a trial waits for nodes that are gone."""


class StudySearcher(Searcher):
    """A Searcher that hands trials from the conductor to Tune and Tune's results to the conductor.

    ``nodes`` says how many shall be under way and on which nodes a trial is not to run.

    It is never restored: a study is continued by a fresh driver. A `SweepError` is kept in ``error`` and ends
    the sweep, since Tune would wrap it beyond recognition.
    """

    def __init__(self, conductor: Conductor, tunes: TuneTrials, nodes: Nodes):
        super().__init__()
        self._nodes = nodes
        self._tunes = tunes
        self._conductor: Conductor | None = conductor
        self._keys: dict[str, str] = {}
        self._kept_off: dict[str, list[str]] = {}
        self._particular: set[str] = set()
        self._looked = time.monotonic()
        self.error: SweepError | None = None

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take no metric and mode from Tune: they belong to the study."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial's configuration, None for "ask again later", or Tune's word for the end."""
        conductor = self._running()
        if conductor.done or conductor.time_is_up or self.error:
            return Searcher.FINISHED
        if len(self._keys) >= self._nodes.wanted(sum(map(self._tunes.waits, self._particular))):
            return None
        try:
            to_run = conductor.next()
        except SweepError as error:
            self.error = error
            return Searcher.FINISHED
        if to_run is None:
            return None
        self._keys[trial_id] = to_run.key
        self._kept_off[trial_id], is_particular = self._nodes.avoided(to_run.key)
        if is_particular:
            self._particular.add(trial_id)
        return {
            "trial": trial_config.dump_python(to_run.config, mode="json"),
            "study": conductor.study,
            "params": dict(to_run.params),
            "avoided": self._kept_off[trial_id],
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on an epoch that was not the trial's last."""
        try:
            self._running().report(self._keys[trial_id], _own(result))
        except SweepError as error:
            self.error = error

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on the trial's end: its own, the scheduler's, or its worker's."""
        key = self._keys.pop(trial_id, None)
        if key is None:
            return
        self._kept_off.pop(trial_id)
        self._particular.discard(trial_id)
        try:
            if error or not result:
                death, address = self._tunes.death(trial_id)
                self._nodes.died(key, death, address)
                self._running().died(key, death)
            else:
                self._nodes.ended(result[NODE_IP])
                self._running().end(key, _own(result))
        except SweepError as error_of_study:
            self.error = error_of_study

    @property
    def is_stuck(self) -> bool:
        """Tell whether a trial waits for other nodes than those that are left, which would be for ever.

        Looks now and then only.
        """
        now = time.monotonic()
        if now - self._looked < _EVERY:
            return False
        self._looked = now
        return any(
            avoided and self._tunes.waits(trial_id) and self._nodes.leaves_none(avoided)
            for trial_id, avoided in self._kept_off.items()
        )

    def put_back(self) -> None:
        """Put the trials back that are under way, none of which Tune runs any more."""
        for key in self._keys.values():
            self._running().died(key, "preempted")  # the nodes that they waited for are gone
        self._keys.clear()

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Refuse, since a study is not continued this way."""
        raise SweepError("A study is continued by running it again, never by restoring Tune's own state.")

    def _running(self) -> Conductor:
        assert self._conductor is not None, "this copy of the searcher was pickled by Tune and drives nothing"
        return self._conductor

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the searcher into a file that nobody reads;
        # the study's handle and lock cannot go there.
        return {**self.__dict__, "_conductor": None}


def _own(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without the configuration that Tune repeats in it."""
    return {name: value for name, value in result.items() if not name.startswith("config/")}
