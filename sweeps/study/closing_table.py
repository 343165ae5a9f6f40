"""The closing table: dense, the method's own answer, baselines, a lottery's tickets, the best found."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from sweeps.study import winning_tickets
from sweeps.study.record import BASELINE, StudyRecord, TrialRecord
from sweeps.study.winning_tickets import TICKET
from trainables.metric_names import DENSITY, FLOPS_KEPT, PARAMS_KEPT, VALIDATION, on_test
from trainables.task.metrics import is_share


def closing_table(record: StudyRecord) -> Table:
    """Tabulate validation and test of the networks that matter, and what was removed of them.

    Validation and test (read once) by each of the task's metrics, CR-P and CR-F, of masks also the weights
    kept.

    CR-P and CR-F are the shares of parameters and multiply-adds removed.
    """
    masks = any(DENSITY in trial.metrics for trial in (*record.trials, *record.baselines))
    # Words, so that a narrow terminal breaks a head between them.
    names = [metric.name.removeprefix(VALIDATION).replace("_", " ") for metric in record.measured]
    edge = len(names) == 1
    table = Table(title=None, header_style="bold", show_edge=edge, pad_edge=edge)
    table.add_column("network", justify="left")
    told = (
        ("validation", "test")
        if len(names) == 1
        else tuple(f"{split} {name}" for name in names for split in ("val", "test"))
    )
    for column in (*told, "CR-P", "CR-F", *(("weights",) if masks else ())):
        table.add_column(column, justify="right", overflow="fold")
    for name, cells, style in _rows(record):
        table.add_row(name, *cells[: len(table.columns) - 1], style=style)
    return table


def _rows(record: StudyRecord) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    """Yield name, cells (the weights kept last) and style of each row."""
    if record.dense:
        quality = _quality(record, record.dense, record.test.get("dense"))
        yield "dense", (*quality, _removed(1.0), _removed(1.0), _kept(1.0)), None
    for trial in record.baselines:
        if trial.outcome == "complete" and trial != record.own:
            yield f"{trial.key.removeprefix(BASELINE)} (baseline)", _cells(record, trial, None), None
    if record.own:
        yield "the method's own answer", _cells(record, record.own, record.test.get("own")), None
    if record.best and record.best.levels:
        yield from _tickets(record, record.best)
        yield (
            f"last level (trial {record.best.key})",
            _cells(record, record.best, record.test.get("best")),
            "bold",
        )
    elif record.best:
        yield (
            f"best found (trial {record.best.key})",
            _cells(record, record.best, record.test.get("best")),
            "bold",
        )


def _tickets(record: StudyRecord, trial: TrialRecord) -> Iterator[tuple[str, tuple[str, ...], None]]:
    primary = record.measured[0]
    found = (
        winning_tickets.best(trial.levels, primary),
        winning_tickets.sparsest_reaching(trial.levels, primary),
    )
    named = zip(("best ticket", "sparsest reaching dense"), found, strict=True)
    for name, level in named:
        if level is not None:
            quality = _quality(record, level["tracks"][TICKET], None)
            yield name, (*quality, _removed(level["params_kept"]), "-", _kept(level["density"])), None


def _cells(record: StudyRecord, trial: TrialRecord, test: Mapping[str, Any] | None) -> tuple[str, ...]:
    kept, flops, density = (trial.metrics.get(name) for name in (PARAMS_KEPT, FLOPS_KEPT, DENSITY))
    return *_quality(record, trial.metrics, test), _removed(kept), _removed(flops), _kept(density)


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
