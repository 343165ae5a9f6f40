"""What was searched, how far it came, with what."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import yaml

from sweeps.report.drawing.wording import OUTCOMES, count, lower_name, plain
from sweeps.study.record import StudyRecord

_MOST_NAMES = 5


def facts(record: StudyRecord) -> list[tuple[str, str]]:
    """Return name and text of each line under the title.

    Lines that the sweep says nothing about are left out.
    """
    sweep, came_from = record.sweep, record.provenance
    task = sweep.get("task") or {}
    lines = [
        ("Compression", _methods(sweep)),
        ("Network and data", " on ".join(str(task[part]) for part in ("network", "data") if task.get(part))),
        ("Budget", _budget(sweep.get("budget"))),
        ("Outside the budget", " ".join(came_from.get("unreached", []))),
        ("Lottery", _section(sweep.get("lottery"))),
        ("Gradual pruning", _section(sweep.get("gradual"))),
        ("Dynamic sparse training", _section(sweep.get("dynamic_sparse"))),
        ("Replicates", str(sweep["replicates"]) if (sweep.get("replicates") or 1) > 1 else ""),
        ("Searched", _searched(record)),
        ("Sampler", _named(sweep.get("method"))),
        ("Objectives", ", ".join(_goals(record))),
        ("Constraints", ", ".join(limit.name for limit in record.limits)),
        ("Screened", _screened(record)),
        ("Workers that died", _deaths(record)),
        ("Early stopping", _named(sweep.get("early_terminate"))),
        ("Time limit", _time_limit(record)),
        ("Started", _moment(came_from.get("created"))),
    ]
    return [(name, text) for name, text in lines if text]


def asked(record: StudyRecord) -> str:
    """Say in a sentence what the study was asked for; nothing where its sweep does not tell."""
    sweep = record.sweep
    task = sweep.get("task") or {}
    about = " on ".join(str(task[part]) for part in ("network", "data") if task.get(part))
    if not about:
        return ""
    kept, by = _budget(sweep.get("budget")), _methods(sweep)
    said = about + (f", to {kept}" if kept else "") + (f" by {by}" if by else "")
    goals = " and ".join(_goals(record))
    searched, sampler = _searched(record), _named(sweep.get("method"))
    by_sampler = f"by {sampler}, " if sampler else ""
    return f"{said}. Searched: {searched}, {by_sampler}to {goals}." if searched else f"{said}."


def _goals(record: StudyRecord) -> list[str]:
    return [f"{o.goal} {lower_name(o.name)}" for o in record.objectives]


def _deaths(record: StudyRecord) -> str:
    return ", ".join(f"{amount} {kind.replace('_', ' ')}" for kind, amount in sorted(record.deaths.items()))


def _screened(record: StudyRecord) -> str:
    return count(len(record.screened), "trial") + " without training" if record.screened else ""


def tally(record: StudyRecord) -> list[tuple[str, str, str]]:
    """Return each outcome that occurred with its number and word; complete always, with the target."""
    shown = [("complete", f"{record.count('complete')} of {record.target}", "trials complete")]
    for outcome, word in OUTCOMES.items():
        if outcome != "complete" and (amount := record.count(outcome)):
            shown.append((outcome, str(amount), word))
    return shown


def sweep_file(record: StudyRecord) -> str:
    """Return the resolved sweep file as YAML."""
    return yaml.safe_dump(_as_plain(record.sweep), sort_keys=False, allow_unicode=True)


def provenance(record: StudyRecord) -> list[tuple[str, str]]:
    """Return every entry of study.json, nested names joined by dots."""
    return list(_flat(record.provenance))


def _named(choice: Any) -> str:
    if isinstance(choice, Mapping):
        name = choice.get("method") or choice.get("type") or choice.get("name")
        return str(name) if name else plain(choice)
    return "" if choice is None else str(choice)


def _methods(sweep: Mapping[str, Any]) -> str:
    """Return the method, or the methods that are searched; without either, the section's settings."""
    searched = (sweep.get("parameters") or {}).get("compression.method") or {}
    values = searched.get("values") or [searched["value"]] if {"values", "value"} & {*searched} else []
    if values:
        return ", ".join(str(one["value"] if isinstance(one, Mapping) else one) for one in values)
    return _named(sweep.get("compression"))


def _budget(budget: Any) -> str:
    if not isinstance(budget, Mapping):
        return "" if budget is None else plain(budget)
    said = []
    if (share := budget.get("keep_ratio")) is not None:
        said.append(f"{100 * share:g} % of the compressible weights")
    if (share := budget.get("flops_ratio")) is not None:
        said.append(f"{100 * share:g} % of the compressible multiply-adds")
    if (share := budget.get("latency_ratio")) is not None:
        said.append(f"{100 * share:g} % of the time")
    if (amount := budget.get("parameters")) is not None:
        said.append(count(amount, "compressible weight"))
    return ", ".join(said) or plain(budget)


def _searched(record: StudyRecord) -> str:
    """Return the parameters' names, or their number where a reader would not read them all."""
    names = list(dict.fromkeys(name for trial in record.trials for name in trial.params))
    return ", ".join(names) if len(names) <= _MOST_NAMES else count(len(names), "parameter")


def _time_limit(record: StudyRecord) -> str:
    limit = record.sweep.get("time_limit") or ""
    return (
        f"{limit}, reached with {record.count('complete')} of {record.target} trials complete"
        if record.time_is_up
        else limit
    )


def _section(section: Any) -> str:
    """Return a section's settings that say what was done, as ``levels 15, rate 0.2, rewind_to 0it``."""
    if not isinstance(section, Mapping):
        return ""
    return plain({name: value for name, value in section.items() if value not in (None, False, [], {})})


def _moment(written: Any) -> str:
    """Return a time in ISO 8601, to the minute and with its zone."""
    return datetime.fromisoformat(str(written)).strftime("%Y-%m-%d %H:%M %Z").strip() if written else ""


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", plain(value)


def _as_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_plain(item) for item in value]
    return value
