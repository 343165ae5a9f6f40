"""Ray Tune's view of the conductor: a Searcher whose only state is the Optuna study."""

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from sweeps.errors import SweepError
from sweeps.running.conductor import Conductor
from sweeps.running.retries import Deaths
from trainables.config import trial_config


class StudySearcher(Searcher):
    """A Searcher that hands trials from the conductor to Tune and Tune's results to the conductor.

    ``wanted`` says how many trials shall be under way, which changes as the cluster does.

    It is never restored: a study is continued by a fresh driver. A `SweepError` is kept in ``error`` and ends
    the sweep, since Tune would wrap it beyond recognition.
    """

    def __init__(self, conductor: Conductor, deaths: Deaths, wanted: Callable[[], int]):
        super().__init__()
        self._wanted: Callable[[], int] | None = wanted
        self._deaths = deaths
        self._conductor: Conductor | None = conductor
        self._keys: dict[str, str] = {}
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
        if self._wanted is None or len(self._keys) >= self._wanted():
            return None
        try:
            to_run = conductor.next()
        except SweepError as error:
            self.error = error
            return Searcher.FINISHED
        if to_run is None:
            return None
        self._keys[trial_id] = to_run.key
        return {
            "trial": trial_config.dump_python(to_run.config, mode="json"),
            "study": conductor.study,
            "params": dict(to_run.params),
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
        try:
            if error or not result:
                self._running().died(key, self._deaths.kind(trial_id))
            else:
                self._running().end(key, _own(result))
        except SweepError as error_of_study:
            self.error = error_of_study

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
        return {**self.__dict__, "_conductor": None, "_wanted": None}


def _own(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without the configuration that Tune repeats in it."""
    return {name: value for name, value in result.items() if not name.startswith("config/")}
