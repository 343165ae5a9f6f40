"""A storage of Optuna's that shows one study with notes and files, and lets nobody change it."""

from collections.abc import Container
from copy import copy
from typing import Any, NoReturn

from bottle import HTTPError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from sweeps.dashboard.attachments import Attachments
from sweeps.dashboard.notes import Notes, network_figures
from sweeps.study.rows.row import OUTCOME, REASON, TRIAL_METRICS
from sweeps.study.screening import name_of_screening

_CHANGED_BY_DRIVER = "The study is changed by its driver alone (tombola run, resume); notes can be written."


class StudyView(BaseStorage):
    """Shows the study called ``name``, and its screening, of another storage to Optuna's dashboard.

    A trial's user attributes are its metrics and how it ended; notes and files come from the study's folder.
    What a person writes into a note is kept there too. Everything else is refused with status 403: a driver
    takes it that nobody beside it changes its study.
    """

    def __init__(self, storage: BaseStorage, name: str, notes: Notes, attachments: Attachments) -> None:
        self._storage = storage
        self._names = (name, name_of_screening(name))
        self._own_id = storage.get_study_id_from_name(name)
        self._notes = notes
        self._attachments = attachments

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return the studies shown, with their notes and files."""
        studies = [study for study in self._storage.get_all_studies() if study.study_name in self._names]
        return [self._with_notes(study) for study in studies]

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what Optuna keeps of a study, its notes and its files."""
        own = self._storage.get_study_system_attrs(study_id)
        trials = self._storage.get_all_trials(study_id, deepcopy=False)
        if study_id != self._own_id:
            return own | self._notes.of_screening(trials)
        notes = self._notes.of(trials, self._attachments.report(study_id))
        return own | self._attachments.of_study() | notes

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep a note that a person wrote; refuse all else."""
        if not self._notes.keep(key, value, is_of_screening=study_id != self._own_id):
            self._refuse()

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials as people are to see them."""
        trials = self._storage.get_all_trials(study_id, deepcopy, states)
        return [self._shown(trial, study_id == self._own_id) for trial in trials]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return one trial as people are to see it."""
        trial = self._storage.get_trial(trial_id)
        return self._shown(trial, self._is_own(trial))

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the number that the storage gave to a study."""
        return self._storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return a study's name."""
        return self._storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return which way each objective is to go."""
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what Tombola keeps of a study."""
        return self._storage.get_study_user_attrs(study_id)

    def _with_notes(self, study: FrozenStudy) -> FrozenStudy:
        shown = copy(study)
        shown.system_attrs = self.get_study_system_attrs(study._study_id)
        return shown

    def _is_own(self, trial: FrozenTrial) -> bool:
        """Tell whether a trial is the study's, not one of its screening's, which have the same numbers."""
        try:
            own = self._storage.get_trial_id_from_study_id_trial_number(self._own_id, trial.number)
        except KeyError:
            return False
        return own == trial._trial_id

    def _shown(self, trial: FrozenTrial, is_own: bool) -> FrozenTrial:
        shown = copy(trial)
        shown.user_attrs = readable(trial.user_attrs)
        shown.system_attrs = trial.system_attrs | (self._attachments.of_trial(trial) if is_own else {})
        return shown

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise HTTPError(403, _CHANGED_BY_DRIVER)

    create_new_study = delete_study = set_study_user_attr = create_new_trial = _refuse
    set_trial_param = set_trial_state_values = set_trial_intermediate_value = _refuse
    set_trial_user_attr = set_trial_system_attr = _refuse


def readable(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return a trial's attributes as columns: how it ended and why it failed, and its network's figures."""
    ended = {name: attributes[name] for name in (OUTCOME, REASON) if name in attributes}
    return ended | network_figures(attributes.get(TRIAL_METRICS, {}))
