"""The closing table: dense, the method's own answer, the baselines, a lottery's tickets and the best found."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from sweeps.study import levels
from sweeps.study.levels import TICKET
from sweeps.study.record import BASELINE, StudyRecord, TrialRecord


def closing_table(record: StudyRecord) -> Table:
    """Validation, test (read once), CR-P and CR-F: the shares of parameters and multiply-adds removed; of masks also the weights kept."""
    masks = any("compress/density" in trial.metrics for trial in (*record.trials, *record.baselines))
    table = Table(title=None, header_style="bold")
    table.add_column("network", justify="left")
    for column in ("validation", "test", "CR-P", "CR-F", *(("weights",) if masks else ())):
        table.add_column(column, justify="right")
    for name, cells, style in _rows(record):
        table.add_row(name, *cells[: len(table.columns) - 1], style=style)
    return table


def _rows(record: StudyRecord) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    """Name, cells (the weights kept last) and style."""
    if record.dense:
        accuracy = _share(record.dense, "val/accuracy")
        yield "dense", (accuracy, _test(record.test.get("dense")), _removed(1.0), _removed(1.0), _kept(1.0)), None
    for trial in record.baselines:
        if trial.outcome == "complete" and trial != record.own:
            yield f"{trial.key.removeprefix(BASELINE)} (baseline)", _cells(trial, None), None
    if record.own:
        yield "the method's own answer", _cells(record.own, record.test.get("own")), None
    if record.best and record.best.levels:
        yield from _tickets(record.best)
        yield f"last level (trial {record.best.key})", _cells(record.best, record.test.get("best")), "bold"
    elif record.best:
        yield f"best found (trial {record.best.key})", _cells(record.best, record.test.get("best")), "bold"


def _tickets(trial: TrialRecord) -> Iterator[tuple[str, tuple[str, ...], None]]:
    named = (("best ticket", levels.best(trial.levels)), ("sparsest reaching dense", levels.sparsest_reaching(trial.levels)))
    for name, level in named:
        if level is not None:
            accuracy = _share(level["tracks"][TICKET], "val/accuracy")
            yield name, (accuracy, "-", _removed(level["params_kept"]), "-", _kept(level["density"])), None


def _cells(trial: TrialRecord, test: Mapping[str, Any] | None) -> tuple[str, ...]:
    kept, flops, density = (trial.metrics.get(f"compress/{name}") for name in ("params_kept", "flops_kept", "density"))
    return _share(trial.metrics, "val/accuracy"), _test(test), _removed(kept), _removed(flops), _kept(density)


def _test(reading: Mapping[str, Any] | None) -> str:
    return _share(reading, "test/accuracy") if reading else "-"


def _share(metrics: Mapping[str, Any], name: str) -> str:
    if name not in metrics:
        return "-"
    spread = metrics.get(name + "_std", 0)
    return f"{metrics[name]:.2%}" + (f" ± {spread:.2%}" if spread else "")


def _removed(kept: float | None) -> str:
    return "-" if kept is None else f"{1 - kept:.1%}"


def _kept(density: float | None) -> str:
    return "-" if density is None else f"{density:.1%}" if density >= 0.01 else f"{density:.2%}"
