"""What ended without a value, and why."""

import re
from collections.abc import Sequence

from sweeps.report.drawing.chart import Chart, Table
from sweeps.report.drawing.wording import OUTCOMES, count, method_of
from sweeps.study.record import Outcome, StudyRecord, TrialRecord

_NAMED = 12
_ENDED: tuple[Outcome, ...] = ("failed", "infeasible", "stopped_early")


def failures_chart(record: StudyRecord) -> Chart | None:
    """Tabulate the trials and baselines that ended without a value, those with alike reasons together.

    None where there are none.
    """
    lost = [t for t in (*record.trials, *record.baselines) if t.outcome in _ENDED]
    if not lost:
        return None
    groups: dict[tuple[str, str], list[TrialRecord]] = {}
    for trial in lost:
        # alike: the same but for numbers
        groups.setdefault((trial.outcome, re.sub(r"\d[\d.e+-]*", "#", trial.reason or "")), []).append(trial)
    ordered = sorted(groups.values(), key=lambda group: (_ENDED.index(group[0].outcome), -len(group)))
    rows = tuple(((_reason(group), ""), (str(len(group)), ""), (_named(group), "")) for group in ordered)
    ended = [f"{count(sum(t.outcome == kind for t in lost), 'network')} {OUTCOMES[kind]}" for kind in _ENDED]
    caption = f"{', '.join(said for said in ended if not said.startswith('0 '))}."
    if deaths := record.deaths:
        told = ", ".join(f"{kind.replace('_', ' ')} {amount}" for kind, amount in sorted(deaths.items()))
        caption += f" Workers that died on the way: {told}; their trials were begun again."
    return Chart("failures", "What failed, and why", caption, table=Table(("Why", "How many", "Which"), rows))


def _reason(group: Sequence[TrialRecord]) -> str:
    first = group[0]
    if first.outcome == "stopped_early":
        return "stopped early by the scheduler"
    return f"{OUTCOMES[first.outcome]}: {first.reason or 'no reason is known'}"


def _named(group: Sequence[TrialRecord]) -> str:
    names = [method_of(t).removeprefix("trial ") for t in group[:_NAMED]]
    more = f" and {len(group) - _NAMED} more" if len(group) > _NAMED else ""
    return ", ".join(names) + more
