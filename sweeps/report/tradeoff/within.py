"""The smallest network of each method that loses next to nothing, as ALDS's Table 1 compares methods."""

from collections.abc import Sequence
from statistics import fmean, stdev

from sweeps.report.drawing.chart import Chart, Table
from sweeps.report.drawing.wording import NONE, lower_name, plain, quality_of
from sweeps.report.tradeoff.curves import Tradeoff, budget_of, gains
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.metric_names import FLOPS_KEPT, PARAMS_KEPT

MOST_DROP = 0.005
"""How much of a share, accuracy say, a network may lose (Liebenwein et al., NeurIPS 2021, Table 1)."""


def within_table(record: StudyRecord, found: Sequence[Tradeoff]) -> Chart:
    """Tabulate, by method, the smallest network whose mean is at most `MOST_DROP` below the dense one's."""
    rows = [_row(record, curve) for curve in found]
    caption = (
        f"Of each method the network with the fewest parameters whose {lower_name(quality_of(record))} is, "
        f"in the mean, at most {100 * MOST_DROP:g} points below the dense network's. CR-P and CR-F: the "
        "shares of parameters and multiply-adds removed, ± one standard deviation over the replicates."
    )
    heads = ("Method", "Budget", "Change, points", "CR-P, %", "CR-F, %", "Measured speed-up")
    title = f"Largest compression within {100 * MOST_DROP:g} points of dense"
    return Chart("tradeoff-within", title, caption, table=Table(heads, tuple(rows)))


def _row(record: StudyRecord, curve: Tradeoff) -> tuple[tuple[str, str], ...]:
    quality = quality_of(record)
    dense = record.dense[quality]
    goal = next(o for o in (*record.objectives, *record.measured) if o.name == quality)
    near = [t for t in curve.trials if goal.gain(t.metrics[quality] - dense) >= -MOST_DROP]
    if not near:
        return ((curve.label, ""), *[(NONE, "")] * 5)
    least = min(near, key=lambda t: t.metrics[PARAMS_KEPT])
    key, value = budget_of(record, least)
    faster = gains(record, least).get("measured speed-up")
    cells = (
        f"{key.rpartition('.')[2]} {plain(value)}",
        f"{100 * (least.metrics[quality] - dense):+.2f}",
        *(_removed(least, name) for name in (PARAMS_KEPT, FLOPS_KEPT)),
        NONE if faster is None else f"{faster:.2f}",
    )
    return ((curve.label, ""), *((cell, "") for cell in cells))


def _removed(trial: TrialRecord, kept: str) -> str:
    """Write the share removed in per cent, mean and standard deviation over the replicates."""
    shares = [one["metrics"][kept] for one in trial.replicates if kept in one["metrics"]]
    shares = shares or [trial.metrics[kept]]
    spread = f" ± {100 * stdev(shares):.2f}" if len(shares) > 1 and stdev(shares) else ""
    return f"{100 * (1 - fmean(shares)):.2f}{spread}"
