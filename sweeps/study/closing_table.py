"""The closing table: dense, the method's own answer, baselines, a lottery's tickets, the best found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from sweeps.study import winning_tickets
from sweeps.study.record import BASELINE, StudyRecord, TrialRecord
from sweeps.study.selection.comparison import Comparison
from sweeps.study.winning_tickets import TICKET
from trainables.metric_names import DENSITY, FLOPS_KEPT, PARAMS_KEPT, VALIDATION, on_test
from trainables.task.metrics import is_share


@dataclass(frozen=True)
class ClosingRow:
    """A row of the closing table; ``is_chosen`` marks the network that the study found."""

    cells: tuple[str, ...]
    is_chosen: bool


def closing_table(record: StudyRecord) -> Table:
    """Tabulate `closing_rows` for a terminal."""
    edge = len(record.measured) == 1
    table = Table(title=None, header_style="bold", show_edge=edge, pad_edge=edge)
    first, *heads = closing_heads(record)
    table.add_column(first, justify="left")
    for head in heads:
        table.add_column(head, justify="right", overflow="fold")
    for row in closing_rows(record):
        table.add_row(*row.cells, style="bold" if row.is_chosen else None)
    return table


def closing_heads(record: StudyRecord) -> list[str]:
    """Return the heads of the columns of `closing_rows`."""
    # Words, so that a narrow terminal breaks a head between them.
    names = [metric.name.removeprefix(VALIDATION).replace("_", " ") for metric in record.measured]
    told = (
        ["validation", "test"]
        if len(names) == 1
        else [f"{split} {name}" for name in names for split in ("val", "test")]
    )
    against = ["test vs. own"] if record.own else []
    masks = ["weights"] if _has_masks(record) else []
    return ["network", *told, *against, "CR-P", "CR-F", *masks, *(["constraints"] if record.limits else [])]


def closing_rows(record: StudyRecord) -> list[ClosingRow]:
    """Return validation and test of the networks that matter, and what was removed of them.

    Validation and test (read once) by each of the task's metrics, by how much better on test than the
    method's own answer and how sure, CR-P and CR-F, of masks also the weights kept, and whether constraints
    are.

    CR-P and CR-F are the shares of parameters and multiply-adds removed.
    """
    return [ClosingRow(tuple(_cells(record, row)), row.is_chosen) for row in _rows(record)]


def _cells(record: StudyRecord, row: "_Row") -> Iterator[str]:
    yield row.name
    yield from row.quality
    if record.own:
        yield _against(record.compared(row.key, "test"), record.measured[0].name)
    yield from (_removed(row.params), _removed(row.flops))
    if _has_masks(record):
        yield _kept(row.density)
    if record.limits:
        trial = next((t for t in (*record.trials, *record.baselines) if t.key == row.key), None)
        yield _held(record, trial)


def _has_masks(record: StudyRecord) -> bool:
    return any(DENSITY in trial.metrics for trial in (*record.trials, *record.baselines))


def failed_baselines(record: StudyRecord) -> list[str]:
    """Return a sentence for each baseline that failed, and is in no table."""
    failed = (trial for trial in record.baselines if trial.outcome == "failed")
    return [f"Baseline {trial.key.removeprefix(BASELINE)} failed: {trial.reason}" for trial in failed]


@dataclass(frozen=True)
class _Row:
    """One network: whose it is (``dense``, a trial's key, nothing of a ticket), and what is kept of it."""

    name: str
    key: str
    quality: tuple[str, ...]
    params: float | None
    flops: float | None
    density: float | None
    is_chosen: bool = False


def _rows(record: StudyRecord) -> Iterator[_Row]:
    """Yield dense, the baselines, the method's own answer, tickets and the best found, or the nearest."""
    if record.dense:
        yield _Row("dense", "dense", _quality(record, record.dense, record.test.get("dense")), 1.0, 1.0, 1.0)
    for trial in record.baselines:
        if trial.outcome == "complete" and trial != record.own:
            yield _row(record, f"{trial.key.removeprefix(BASELINE)} (baseline)", trial, trial.key)
    if record.own:
        yield _row(record, "method's own answer", record.own, "own")
    taken = record.best or record.nearest
    if taken is None:
        return
    if taken.levels:
        yield from _tickets(record, taken)
    name = "last level" if taken.levels else "best found" if record.best else "nearest"
    yield replace(_row(record, f"{name} (trial {taken.key})", taken, "best"), is_chosen=True)


def _tickets(record: StudyRecord, trial: TrialRecord) -> Iterator[_Row]:
    primary = record.measured[0]
    found = (
        winning_tickets.best(trial.levels, primary),
        winning_tickets.sparsest_reaching(trial.levels, primary),
    )
    named = zip(("best ticket", "sparsest reaching dense"), found, strict=True)
    for name, level in named:
        if level is not None:
            quality = _quality(record, level["tracks"][TICKET], None)
            yield _Row(name, "", quality, level["params_kept"], None, level["density"])


def _row(record: StudyRecord, name: str, trial: TrialRecord, role: str) -> _Row:
    kept, flops, density = (trial.metrics.get(name) for name in (PARAMS_KEPT, FLOPS_KEPT, DENSITY))
    test = record.test.get(role)
    quality = _quality(record, trial.metrics, test if test and test["key"] == trial.key else None)
    return _Row(name, trial.key, quality, kept, flops, density)


def _against(found: Comparison | None, metric: str) -> str:
    """Return by how much a network is better on test than the method's own answer, and how sure."""
    if found is None:
        return "-"
    text = f"{100 * found.difference:+.2f}" if is_share(metric) else f"{found.difference:+.3g}"
    # as narrow as can be: a terminal has 80 columns
    chance = found.chance.replace(" ", "").replace("0.", ".")
    return f"{text}, {chance}" if chance else text


def _held(record: StudyRecord, trial: TrialRecord | None) -> str:
    """Tell whether a network keeps the constraints."""
    return "-" if trial is None else "missed" if record.missed(trial) else "kept"


def _quality(
    record: StudyRecord, metrics: Mapping[str, Any], test: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """Return each of the task's metrics on validation and on test."""
    names = [metric.name for metric in record.measured]
    return tuple(
        text for name in names for text in (_value(metrics, name), _value(test or {}, on_test(name)))
    )


def _value(metrics: Mapping[str, Any], name: str) -> str:
    if name not in metrics:
        return "-"
    form, spread = ".2%" if is_share(name) else ".4g", metrics.get(name + "_std", 0)
    return f"{metrics[name]:{form}}" + (f" ± {spread:{form}}" if spread else "")


def _removed(kept: float | None) -> str:
    return "-" if kept is None else f"{1 - kept:.1%}"


def _kept(density: float | None) -> str:
    return "-" if density is None else f"{density:.1%}" if density >= 0.01 else f"{density:.2%}"
