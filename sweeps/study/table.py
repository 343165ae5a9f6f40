"""The closing table: dense, the method's own answer, the baselines and the best found."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from sweeps.study.record import BASELINE, StudyRecord, TrialRecord


def closing_table(record: StudyRecord) -> Table:
    """Validation, test (read once), CR-P and CR-F: the shares of parameters and multiply-adds removed."""
    table = Table(title=None, header_style="bold")
    for column, justify in (("network", "left"), ("validation", "right"), ("test", "right"), ("CR-P", "right"), ("CR-F", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    if record.dense:
        table.add_row("dense", _share(record.dense, "val/accuracy"), _test(record.test.get("dense")), _removed(1.0), _removed(1.0))
    for trial in record.baselines:
        if trial.outcome == "complete" and trial != record.own:
            table.add_row(f"{trial.key.removeprefix(BASELINE)} (baseline)", *_cells(trial, None))
    if record.own:
        table.add_row("the method's own answer", *_cells(record.own, record.test.get("own")))
    if record.best:
        table.add_row(f"best found (trial {record.best.key})", *_cells(record.best, record.test.get("best")), style="bold")
    return table


def _cells(trial: TrialRecord, test: Mapping[str, Any] | None) -> tuple[str, str, str, str]:
    kept, flops = trial.metrics["compress/params_kept"], trial.metrics["compress/flops_kept"]
    return _share(trial.metrics, "val/accuracy"), _test(test), _removed(kept), _removed(flops)


def _test(reading: Mapping[str, Any] | None) -> str:
    return _share(reading, "test/accuracy") if reading else "-"


def _share(metrics: Mapping[str, Any], name: str) -> str:
    spread = metrics.get(name + "_std", 0)
    return f"{metrics[name]:.2%}" + (f" ± {spread:.2%}" if spread else "")


def _removed(kept: float) -> str:
    return f"{1 - kept:.1%}"
