"""The study of a sweep's screening: a score without training for each trial, and who is trained by it."""

from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from sweeps.study.rows.row import ENQUEUED, TRIAL_METRICS, outcome_of, rows_by_trial, standing
from trainables.metric_names import NETWORK


def name_of_screening(name: str) -> str:
    """Return the name of the screening of the study called ``name``, beside it in the same storage."""
    return f"{name}/screen"


def finalists(screening: optuna.Study, own: bool) -> Iterator[Mapping[str, Any]]:
    """Yield the configurations to train, in order.

    The method's own answer (``own``: the first that was screened) and those that the sweep file enqueues come
    first, whatever their score; then the best by score, of those that came to the same network the first.
    """
    given, others = [], []
    for root, rows in sorted(rows_by_trial(screening).items()):
        row = standing(rows)
        if (own and root == 0) or ENQUEUED in rows[0].user_attrs:
            if outcome_of(row) != "infeasible":
                given.append(row)
        elif outcome_of(row) == "complete":
            others.append(row)
    seen = {_network(row) for row in given}
    yield from (row.params for row in given)
    # in the order of the first that came to it: sorting is stable
    for row in sorted(others, key=lambda row: row.values[0]):
        network = _network(row)
        if network not in seen:
            seen.add(network)
            yield row.params


def _network(row: FrozenTrial) -> str | None:
    network: str | None = row.user_attrs.get(TRIAL_METRICS, {}).get(NETWORK)
    return network
