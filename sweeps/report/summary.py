"""The first thing a reader wants: what was found, beside what it is measured against."""

from dataclasses import dataclass

from sweeps.report.drawing import chart
from sweeps.report.drawing.wording import (
    NONE,
    OUTCOMES,
    compact,
    count,
    difference,
    has_masks,
    mean_and_spread,
    method_of,
    number,
    percent,
    points_of,
    quality_of,
    titled,
    value_of,
)
from sweeps.study import winning_tickets
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.study.winning_tickets import TICKET, Level
from trainables.metric_names import (
    BYTES,
    DENSITY,
    FLOPS_KEPT,
    INT8_DIVERGENCE,
    LATENCY_KEPT,
    LATENCY_MS,
    PARAMS,
    PARAMS_KEPT,
    on_test,
)


@dataclass(frozen=True)
class Row:
    """One network of the summary table, its cells as text."""

    label: str
    detail: str
    color: str
    cells: tuple[str, ...]


def heads(record: StudyRecord) -> list[str]:
    """Return the columns' names, in the order of `Row.cells`."""
    kept = ["Weights kept, %"] if has_masks(record) else []
    latency = ["Latency, ms"] if _saves_time(record) else []
    quality = [titled(name) for name in _qualities(record)]
    tests = [titled(name) for name in _tests(record)]
    own = ["Test against own answer"] if record.own else []
    held = ["Constraints"] if record.limits else []
    return [*quality, *tests, *own, "CR-P, %", "CR-F, %", "Parameters", "Size, kB", *kept, *latency, *held]


def rows(record: StudyRecord) -> list[Row]:
    """Return the networks of the summary, those that exist.

    They are dense, the baselines, the method's own answer, a lottery's tickets, the best found.
    """
    found = [_dense_row(record)] if record.dense else []
    own, best = record.own, record.best
    for baseline in record.baselines:
        if own is None or baseline.key != own.key:
            found.append(_trial_row(record, baseline, chart.BASELINE))
    if own is not None:
        found.append(_trial_row(record, own, chart.OWN, "own", "Method's own answer"))
    if record.nearest is not None:
        found.append(_trial_row(record, record.nearest, chart.BEST, "best", "Nearest to the constraints"))
    if best is not None and best.levels:
        found += _ticket_rows(record, best)
        found.append(_trial_row(record, best, chart.BEST, "best", "Ticket of the last level"))
    elif best is not None:
        found.append(_trial_row(record, best, chart.BEST, "best", "Best found"))
    return found


def _dense_row(record: StudyRecord) -> Row:
    dense = record.dense
    cells = (
        *(mean_and_spread(name, dense.get(name), dense.get(f"{name}_std")) for name in _qualities(record)),
        *_test(record, "dense", "dense"),
        *_against(record, "dense"),
        "0.0",
        "0.0",
        _whole(dense.get("params")),
        _kilobytes(dense.get("bytes")),
        *([percent(1)] if has_masks(record) else []),
        *([number("latency_ms", dense.get("latency_ms"))] if _saves_time(record) else []),
        *([NONE] if record.limits else []),
    )
    trained = any(name in dense for name in _qualities(record))
    return Row(
        "Dense", "uncompressed" if trained else "uncompressed; this study trained none", chart.DENSE, cells
    )


def _trial_row(record: StudyRecord, trial: TrialRecord, color: str, role: str = "", label: str = "") -> Row:
    """Return a trial's row.

    Without a role and a label of its own the trial is a baseline, and its method's name is the label.
    """
    several = len(trial.replicates) > 1
    density = value_of(record, trial, DENSITY)
    latency = number("latency_ms", value_of(record, trial, LATENCY_MS))
    if (kept := value_of(record, trial, LATENCY_KEPT)) is not None:
        latency += f" ({kept:.2g}\N{MULTIPLICATION SIGN})"
    cells = (
        *(
            mean_and_spread(
                name, value_of(record, trial, name), trial.metrics.get(f"{name}_std") if several else None
            )
            for name in _qualities(record)
        ),
        *_test(record, role or trial.key, trial.key),
        *_against(record, trial.key),
        _removed(value_of(record, trial, PARAMS_KEPT)),
        _removed(value_of(record, trial, FLOPS_KEPT)),
        _whole(value_of(record, trial, PARAMS)),
        _kilobytes(value_of(record, trial, BYTES)),
        *([NONE if density is None else percent(density)] if has_masks(record) else []),
        *([latency] if _saves_time(record) else []),
        *([_held(record, trial)] if record.limits else []),
    )
    details = [method_of(trial) if label else "baseline"]
    if len(trial.replicates) > 1:
        details.append(count(len(trial.replicates), "replicate"))
    if trial.reason:
        details.append(f"{OUTCOMES[trial.outcome]}: {trial.reason}")
    return Row(label or method_of(trial), ", ".join(details), color, cells)


def _ticket_rows(record: StudyRecord, trial: TrialRecord) -> list[Row]:
    """Return the rows of the tickets that the study is about.

    Test is not read for them, and multiply-adds are counted for the last level's alone.
    """
    named = [
        ("Best ticket", winning_tickets.best(trial.levels, record.measured[0])),
        (
            "Sparsest ticket that reaches dense",
            winning_tickets.sparsest_reaching(trial.levels, record.measured[0]),
        ),
    ]
    return [_ticket_row(record, trial, label, level) for label, level in named if level is not None]


def _ticket_row(record: StudyRecord, trial: TrialRecord, label: str, level: Level) -> Row:
    ticket = level["tracks"][TICKET]
    params, told = record.dense.get("params"), level["verdict"][TICKET]
    cells = (
        *(mean_and_spread(name, ticket.get(name), ticket.get(f"{name}_std")) for name in _qualities(record)),
        *(NONE for _ in _tests(record)),
        *([NONE] if record.own else []),
        _removed(level["params_kept"]),
        NONE,
        _whole(None if params is None else level["params_kept"] * params),
        NONE,
        percent(level["density"]),
        *([NONE] if _saves_time(record) else []),
        *([NONE] if record.limits else []),
    )
    return Row(label, f"{method_of(trial)}, level {level['level']}, {told['verdict']}", chart.TRIAL, cells)


def _qualities(record: StudyRecord) -> list[str]:
    """Return what says how good a network is on validation.

    It is the study's own quality, then the task's other metrics.
    """
    return list(dict.fromkeys([quality_of(record), *(metric.name for metric in record.measured)]))


def _tests(record: StudyRecord) -> list[str]:
    """Return the task's metrics on test."""
    return [on_test(metric.name) for metric in record.measured]


def _test(record: StudyRecord, role: str, key: str) -> list[str]:
    """Return what the test split says of a network, by each of the task's metrics."""
    reading = record.test.get(role, {})
    if reading.get("key") != key:
        return [NONE for _ in _tests(record)]
    return [mean_and_spread(name, reading.get(name), reading.get(f"{name}_std")) for name in _tests(record)]


def _against(record: StudyRecord, key: str) -> list[str]:
    """Return by how much a network is better on test than the method's own answer, where there is one."""
    found = record.compared(key, "test")
    if record.own is None or found is None:
        return [NONE] if record.own else []
    metric = record.measured[0].name
    chance = f" ({found.chance})" if found.chance else ""
    return [f"{difference(metric, found.difference)}{points_of(metric)}{chance}"]


def _held(record: StudyRecord, trial: TrialRecord) -> str:
    if trial.outcome != "complete":
        return NONE
    return f"misses {record.misses(trial)}" if record.missed(trial) else "kept"


def _removed(kept: float | None) -> str:
    return NONE if kept is None else f"{100 * (1 - kept):.1f}"


def _saves_time(record: StudyRecord) -> bool:
    """Tell whether a network of the study may be faster: a mask alone is not."""
    shown = (*record.trials, *record.baselines)
    return not has_masks(record) or any(
        DENSITY not in trial.metrics or INT8_DIVERGENCE in trial.metrics
        for trial in shown
        if trial.outcome == "complete"
    )


def _kilobytes(value: float | None) -> str:
    if value is None:
        return NONE
    kilobytes = value / 1000
    return compact(round(kilobytes) if kilobytes >= 1000 else round(kilobytes, 1))


def _whole(value: float | None) -> str:
    return NONE if value is None else compact(round(value))


def notes(record: StudyRecord) -> list[str]:
    """Say what a reader must know to read the table."""
    said = ["CR-P and CR-F: share of the network's parameters and multiply-adds removed."]
    if _saves_time(record) and any(LATENCY_KEPT in t.metrics for t in (*record.complete, *record.baselines)):
        said.append("Latency in brackets: times that of the dense network, measured in turn with it.")
    if any(INT8_DIVERGENCE in trial.metrics for trial in record.complete):
        said.append(
            "Of int8 networks quality, size and latency are those of int8, "
            "parameters and multiply-adds those of the network that it was made of."
        )
    if has_masks(record):
        said.append(
            "A mask sets weights to zero and leaves the layers' shapes as they are: "
            "by itself it saves no time."
        )
    if record.best is not None and record.best.levels:
        said.append(
            "A ticket reaches dense where in the mean it is as good as dense or better; "
            "the verdicts below say how sure that is."
        )
    if record.test:
        said.append(
            "Selection used the validation split; the test split was read once for each network, at the end."
        )
    else:
        said.append("The test split has not been read.")
    tested = record.test.get("best")
    if tested is not None and record.best is not None and tested.get("key") != record.best.key:
        said.append(
            f"The test split was read when trial {tested.get('key')} was the best; "
            "a better trial was found later."
        )
    return said
