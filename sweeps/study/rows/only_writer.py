"""A study's storage for the one driver that writes: every row is held here, and read from memory alone.

Optuna's own storages ask their file or database before every answer, since another process may have written.
The driver holds the study's lock, so that what it wrote and what was there before is all there is.
"""

import copy
import sys
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.study.database.patience import Patience
from sweeps.study.rows.past import Past
from sweeps.study.rows.trials import Trials

_KINDS = 16  # sets of parameters that rows may share; a study has one for each branch of its search space


class OnlyWriter(BaseStorage):
    """Writes one study's rows to the storage beneath, then changes them here; a row's id is its number.

    A new row that a sampler draws is held here alone until `keep` writes it, whole, at once: with 50
    parameters one write in place of 51, and a driver that dies in between leaves nothing.
    """

    def __init__(self, study: optuna.Study, patience: Patience):
        self._insist = patience.insist
        self._beneath, self._study_id = study._storage, study._study_id
        if isinstance(self._beneath, _CachedStorage):  # which holds every row a second time
            self._beneath = self._beneath._backend
        self._name, self._directions = study.study_name, list(study.directions)
        self._shown: int | None = None
        self._distributions: list[dict[str, BaseDistribution]] = []
        self._read()

    def _read(self) -> None:
        """Read every row from the storage beneath."""
        self._held: FrozenTrial | None = None
        self._rows: list[FrozenTrial] = []
        self._ids: list[int] = []
        self.trials, self._past = Trials(), Past(self._directions)
        rows = self._insist(lambda: self._beneath.get_all_trials(self._study_id, deepcopy=False))
        for row in rows:
            self._take(row, row._trial_id)

    # What the ledger asks for

    def keep(self) -> None:
        """Write the row that was drawn, where one is held."""
        held, self._held = self._held, None
        if held is not None:
            self._add(held)

    @contextmanager
    def showing(self, most: int | None) -> Iterator[None]:
        """Show to a sampler that draws ``most`` finished rows, the best and the latest; None: all."""
        self._shown = most
        try:
            yield
        finally:
            self._shown = None

    # Rows

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Hold a new row, or write one that is given whole."""
        if template_trial is not None:
            return self._add(template_trial)
        self._held = create_trial(state=TrialState.RUNNING)
        self._held.number = self._held._trial_id = len(self._rows)
        self._held.datetime_start = datetime.now()
        return self._held.number

    def _add(self, row: FrozenTrial) -> int:
        number = len(self._rows)
        # After an outage a row may be there whose writing was not answered.
        beneath = self._insist(
            lambda: self._beneath.create_new_trial(self._study_id, template_trial=row),
            lambda: self._id_beneath(number) or self._beneath.create_new_trial(self._study_id, row),
        )
        if beneath == self._insist(lambda: self._id_beneath(number)):
            if isinstance(self._beneath, JournalStorage):
                row = self._beneath.get_trial(beneath)  # the journal holds rows too: the same one
            self._take(row, beneath)
        else:  # a write that was made twice, say, since the answer to the first was lost
            self._read()
        return self._ids.index(beneath, number)

    def _id_beneath(self, number: int) -> int | None:
        """Return the id that the storage beneath knows a row by; None where it has no such row."""
        try:
            return self._beneath.get_trial_id_from_study_id_trial_number(self._study_id, number)
        except KeyError:
            return None

    def _take(self, row: FrozenTrial, beneath: int) -> None:
        """Take in a row that is new here."""
        row.distributions = self._shared(row.distributions)
        row.params = {sys.intern(name): value for name, value in row.params.items()}
        self._ids.append(beneath)
        self._rows.append(row)
        number = len(self._rows) - 1
        self._put(number, number=number, _trial_id=number)

    def _put(self, place: int, /, **changed: Any) -> None:
        """Replace a row by one that has changed: whoever holds the old one reads on undisturbed."""
        row = self._rows[place] = copy.copy(self._rows[place])
        for name, value in changed.items():
            setattr(row, name, value)
        self.trials.put(row)
        if row.state.is_finished():  # such a row never changes again
            self._past.put(row)

    def _shared(self, distributions: dict[str, BaseDistribution]) -> dict[str, BaseDistribution]:
        """Return equal distributions as one object: each row's own would take most of the memory."""
        for known in self._distributions:
            if known == distributions:
                return known
        if len(self._distributions) < _KINDS:
            self._distributions.append(distributions)
        return distributions

    def _change(self, trial_id: int, part: str, key: Any, value: Any) -> None:
        if self._held is not None and trial_id == self._held.number:
            getattr(self._held, part)[key] = value
        else:
            self._put(trial_id, **{part: {**getattr(self._rows[trial_id], part), key: value}})

    def _is_held(self, trial_id: int) -> bool:
        return self._held is not None and trial_id == self._held.number

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter of a row."""
        if not self._is_held(trial_id):
            beneath, value_beneath = self._ids[trial_id], (param_name, param_value_internal, distribution)
            self._insist(
                lambda: self._beneath.set_trial_param(beneath, *value_beneath),
                lambda: (
                    param_name in self._beneath.get_trial(beneath).params
                    or self._beneath.set_trial_param(beneath, *value_beneath)
                ),
            )
        value = distribution.to_external_repr(param_value_internal)
        self._change(trial_id, "distributions", param_name, distribution)
        self._change(trial_id, "params", param_name, value)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set a row's state, and its values where it has them; a row that was held is written with it."""
        changed = {"state": state, **({} if values is None else {"values": list(values)})}
        changed |= {"datetime_start": datetime.now()} if state == TrialState.RUNNING else {}
        changed |= {"datetime_complete": datetime.now()} if state.is_finished() else {}
        if self._is_held(trial_id):
            for name, value in changed.items():
                setattr(self._held, name, value)
            self.keep()
            return True
        beneath = self._ids[trial_id]
        done = self._insist(
            lambda: self._beneath.set_trial_state_values(beneath, state, values),
            lambda: (
                self._beneath.get_trial(beneath).state == state
                or self._beneath.set_trial_state_values(beneath, state, values)
            ),
        )
        if done:
            self._put(trial_id, **changed)
        return done

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set what a row reported at a step."""
        if not self._is_held(trial_id):
            told = self._ids[trial_id], step, intermediate_value
            self._insist(lambda: self._beneath.set_trial_intermediate_value(*told))
        self._change(trial_id, "intermediate_values", step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set what we say of a row."""
        if not self._is_held(trial_id):
            beneath = self._ids[trial_id]
            self._insist(lambda: self._beneath.set_trial_user_attr(beneath, key, value))
        self._change(trial_id, "user_attrs", key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set what Optuna says of a row."""
        if not self._is_held(trial_id):
            beneath = self._ids[trial_id]
            self._insist(lambda: self._beneath.set_trial_system_attr(beneath, key, value))
        self._change(trial_id, "system_attrs", key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a row; of one under way a copy, since Optuna's `Trial` notes in it what it draws."""
        if self._held is not None and trial_id == self._held.number:
            return self._held
        row = self._rows[trial_id]
        if not row.state.is_finished():
            row = copy.copy(row)
            row.params, row.distributions = dict(row.params), dict(row.distributions)
        return row

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return all rows, or those that a sampler is to see, in order."""
        rows = self._rows
        if self._shown is not None:
            numbers = {*self._past.shown(self._shown), *self.trials.unfinished}
            rows = [self._rows[number] for number in sorted(numbers)]
        if states is not None:
            rows = [row for row in rows if row.state in states]
        return copy.deepcopy(rows) if deepcopy else list(rows)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return a row's id, which is its number. Raises KeyError where there is no such row."""
        if trial_number >= len(self._rows):
            raise KeyError(trial_number)
        return trial_number

    # The study

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the study's id. Raises KeyError for another's name."""
        if study_name != self._name:
            raise KeyError(study_name)
        return self._study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the study's name."""
        return self._name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the study's directions."""
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Read what we say of the study."""
        return self._insist(lambda: self._beneath.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Read what Optuna says of the study."""
        return self._insist(lambda: self._beneath.get_study_system_attrs(study_id))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set what we say of the study."""
        self._insist(lambda: self._beneath.set_study_user_attr(study_id, key, value))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set what Optuna says of the study."""
        self._insist(lambda: self._beneath.set_study_system_attr(study_id, key, value))

    def get_all_studies(self) -> list[FrozenStudy]:
        """Read all studies of the storage beneath."""
        return self._beneath.get_all_studies()

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Refuse, since no other study has its rows here. Raises RuntimeError."""
        raise RuntimeError("This storage holds the rows of one study; another needs one of its own.")

    def delete_study(self, study_id: int) -> None:
        """Refuse, since a study goes with its directory. Raises RuntimeError."""
        raise RuntimeError("A study is deleted with its directory, not by its driver.")
