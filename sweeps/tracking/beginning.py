"""What W&B shows of a trial from its beginning on: its name, its configuration, what it is compared with."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sweeps.study.record import BASELINE
from sweeps.sweep_file.space import setting
from trainables.config import TrialConfig
from trainables.metric_names import on_validation
from trainables.task.metrics import metrics_of

_PLACES = ("key", "directory", "store", "checkpoint_every", "keep_at", "num_workers", "threads")
"""Of no interest to who compares runs: where a trial keeps what, and how it is fed."""
_LONGEST_TAG = 64  # for W&B; of a class in a package the end tells more
_WORDS = r"passw|passphrase|secret|token(?!i[sz])|credential|(?:api|access|private)_?key"
_SECRET = re.compile(_WORDS, re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*:)[^/\s]*(?=@)")
_IN_QUERY = re.compile(rf"([?&][\w.-]*(?:{_WORDS}|signature|\bsig(?==))[\w.-]*=)[^&#\s]*", re.IGNORECASE)


def beginning(
    key: str, config: TrialConfig, params: Mapping[str, Any], study_id: str, result: str
) -> dict[str, Any]:
    """Return what a journal begins with: a run's labels and configuration, and where its result will be.

    The configuration is the trial's own, each searched value in its place, so that W&B's columns have the
    names of the sweep file's keys. Secrets are left out.
    """
    is_baseline = key.startswith(BASELINE)
    quality = metrics_of(config.task)[0]
    dense = dense_key(params)
    replicates = len(config.seeds)
    return {
        "name": key if is_baseline else f"trial-{key}",
        "job_type": "baseline" if is_baseline else "trial",
        "tags": [
            config.trainable,
            str(config.compression.method)[-_LONGEST_TAG:],
            *([f"{replicates} replicates"] if replicates > 1 else []),
        ],
        "config": {
            **without_secrets(_settings(config, params)),
            "trial": key,
            "replicates": replicates,
            **({"dense": f"{study_id}-{dense}"} if config.dense_reference else {}),
        },
        "metric": on_validation(quality.name),
        "goal": quality.goal,
        "dense": dense,
        "result": result,
    }


def _settings(config: TrialConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    settings = {n: v for n, v in asdict(config).items() if n not in _PLACES and v is not None}
    for name, value in params.items():
        *sections, last = setting(name).split(".")
        inner: Any = settings
        for section in sections:
            inner = inner.setdefault(section, {}) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.setdefault(last, value)
    return settings


def dense_key(params: Mapping[str, Any]) -> str:
    """Return the key of the dense network's run; of a searched task or training there are several."""
    searched = {n: v for n, v in sorted(params.items()) if n.startswith(("task.", "training."))}
    if not searched:
        return "dense"
    return "dense-" + hashlib.sha256(json.dumps(searched, default=str).encode()).hexdigest()[:8]


def without_secrets(value: Any, name: str = "") -> Any:
    """Return plain data with secrets struck out: those in URLs, and texts under a name that tells of one."""
    if isinstance(value, Mapping):
        return {n: without_secrets(v, f"{name}.{n}") for n, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(v, name) for v in value]
    if isinstance(value, str):
        if _SECRET.search(name):
            return "***"
        return _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1***", value))
    return value
