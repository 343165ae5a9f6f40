"""How much the score that costs no training tells: against validation, with its rank correlation."""

import math
from collections.abc import Sequence

from sweeps.report.drawing import chart
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.wording import (
    count,
    lower_name,
    method_of,
    name_of,
    number,
    quality_of,
    scaled,
    titled,
    value_of,
    with_unit,
)
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.metric_names import DIVERGENCE

_LEAST = 3  # points that a rank correlation is told of

Point = tuple[TrialRecord, float, float]
"""A trial, its score and its quality."""


def score_chart(record: StudyRecord) -> Chart | None:
    """Draw validation against the divergence before retraining; None where too few trials have both.

    Screened trials have both as they are before retraining, the others their quality at the end.
    """
    quality = quality_of(record)
    finished = [*record.complete, *(t for t in record.baselines if t.outcome == "complete")]
    before, after = _points(record, record.screened, quality), _points(record, finished, quality)
    if max(len(before), len(after)) < _LEAST:
        return None
    figure = chart.figure(titled(DIVERGENCE), titled(quality))
    for points, label, name, color, size in (
        (before, "screened, before retraining", _screened_name, chart.TRIAL, 7),
        (after, "trained trials and baselines, at their end", method_of, chart.BEST, 10),
    ):
        if not points:
            continue
        figure.add_scatter(
            x=[score for _, score, _ in points],
            y=[scaled(quality, value) for _, _, value in points],
            mode="markers",
            name=label,
            marker={"color": color, "size": size, "opacity": 0.8, "line": {"color": "#ffffff", "width": 1}},
            hovertext=[_hover(point, quality, name(point[0])) for point in points],
            hoverinfo="text",
        )
    drawn = (*before, *after)
    spread = chart.opening_range([score for _, score, _ in drawn])
    bounds = chart.opening_range([scaled(quality, value) for _, _, value in drawn])
    figure.update_xaxes(range=spread)
    figure.update_yaxes(range=bounds)
    heights = [
        scaled(quality, value) if spread[0] <= score <= spread[1] else math.inf for _, score, value in drawn
    ]
    caption = "It is measured on training images that nothing was fitted to, without a label."
    said = [_correlation(before, "before retraining"), _correlation(after, "at the end")]
    caption += "".join(f" {sentence}" for sentence in said if sentence)
    title = f"{name_of(quality)} against {lower_name(DIVERGENCE)}"
    return Chart("screening", title, caption + chart.outside(heights, bounds), figure)


def rank_correlation(scores: Sequence[float], values: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None for fewer than three pairs, or where one never differs."""
    if len(scores) < _LEAST or len(set(scores)) < 2 or len(set(values)) < 2:
        return None
    # takes as long to import as a third of torch: whoever draws no such chart does without
    from scipy.stats import spearmanr

    return float(spearmanr(scores, values).statistic)


def _points(record: StudyRecord, trials: Sequence[TrialRecord], quality: str) -> list[Point]:
    pairs = ((t, t.metrics.get(DIVERGENCE), value_of(record, t, quality)) for t in trials)
    return [(t, float(score), value) for t, score, value in pairs if score is not None and value is not None]


def _correlation(points: Sequence[Point], when: str) -> str:
    # Trials that came to the same network agree to the bit in both.
    pairs = list(dict.fromkeys((score, value) for _, score, value in points))
    found = rank_correlation([score for score, _ in pairs], [value for _, value in pairs])
    if found is None:
        return ""
    return f"Spearman's rank correlation {when} is {found:+.2f} over {count(len(pairs), 'network')}."


def _screened_name(trial: TrialRecord) -> str:
    return f"screened as number {trial.key}"


def _hover(point: Point, quality: str, name: str) -> str:
    _, score, value = point
    lines = [f"{chart.text(name_of(quality))} {with_unit(quality, value)}", f"divergence {number('', score)}"]
    return "<br>".join([f"<b>{chart.text(name)}</b>", *lines])
