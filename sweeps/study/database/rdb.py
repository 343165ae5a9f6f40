"""A study's rows in a database, a new one with all its parameters in one go."""

from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models


class Database(RDBStorage):
    """Optuna's storage in a database, which writes a parameter without asking for other rows' before.

    Optuna asks, three times a parameter, lest two processes give one name to different ranges. A study's
    ranges are those of its sweep file, which may not change. Without the questions all parameters of a row
    are one statement.
    """

    def _set_trial_param_without_commit(
        self,
        session: Any,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        session.add(
            models.TrialParamModel(
                trial_id=trial_id,
                param_name=param_name,
                param_value=param_value_internal,
                distribution_json=distribution_to_json(distribution),
            )
        )
