"""The metrics of every epoch as the store keeps them, and as a task with other metrics reads them back.

What is measured changes nothing of what is trained, so metrics are no part of a trajectory's address. A
metric of the user's own is kept under its name and the digest of its source.
"""

import hashlib
import json
from collections.abc import Sequence

from trainables.metric_names import VAL_LOSS, VALIDATION, on_validation
from trainables.task.metrics import NamedMetric
from trainables.users_code import factory
from trainables.users_code.source_digest import source_digests

History = list[dict[str, float]]


def stored_names(metrics: Sequence[NamedMetric]) -> dict[str, str]:
    """Return under which name the store keeps each of ``metrics``, by the name that trials tell it under."""
    return {on_validation(metric.name): on_validation(metric.name) + _source(metric) for metric in metrics}


def to_store(history: History, stored: dict[str, str]) -> History:
    """Return the metrics of every epoch under the store's names."""
    return [{stored.get(name, name): value for name, value in epoch.items()} for epoch in history]


def from_store(history: History, stored: dict[str, str]) -> History:
    """Return the metrics of every epoch that are ``stored``, under the names that trials tell them under.

    An epoch may lack some.
    """
    told = []
    for epoch in history:
        kept = {
            name: value
            for name, value in epoch.items()
            if not name.startswith(VALIDATION) or name == VAL_LOSS
        }
        told.append(kept | {name: epoch[key] for name, key in stored.items() if key in epoch})
    return told


def _source(metric: NamedMetric) -> str:
    """Return what tells two states of a metric of the user's own apart; nothing for a built-in one."""
    if not factory.is_reference(metric.reference):
        return ""
    factory.resolve(metric.reference, "metric")
    digests = json.dumps(source_digests([metric.reference]), sort_keys=True)
    return "@" + hashlib.sha256(digests.encode()).hexdigest()
