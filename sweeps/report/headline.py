"""How the study stands, in a few sentences: what was found, and how sure that is."""

from collections import Counter
from dataclasses import dataclass

from sweeps.report import certainty
from sweeps.report.drawing.wording import (
    count,
    difference,
    lower_name,
    mean_and_spread,
    method_of,
    percent,
    points_of,
    quality_of,
    unit_of,
    value_of,
    with_unit,
)
from sweeps.report.sparse.methods_sentence import methods_sentence
from sweeps.study import winning_tickets
from sweeps.study.record import StudyRecord, TrialRecord
from sweeps.study.winning_tickets import TICKET, Level
from trainables.metric_names import DENSITY, PARAMS_KEPT

_SIZES = ((DENSITY, "weights"), (PARAMS_KEPT, "parameters"))


@dataclass(frozen=True)
class Answer:
    """What a study found, and how sure that is; ``sure`` is empty where ``found`` says it already."""

    found: str
    sure: str = ""


def headline(record: StudyRecord) -> str:
    """Say what was found and how sure that is, in a line."""
    said = answer(record)
    return " ".join(filter(None, (said.found, said.sure)))


def answer(record: StudyRecord) -> Answer:
    """Say what was found, computed from the record.

    Of a lottery that is its tickets, of a grid over methods the best of them, else the best trial.
    """
    best = record.best
    if best is None:
        return Answer(_nearest(record) if record.nearest else _nothing_found(record))
    if best.levels:
        return Answer(_tickets(record, best))
    if by_method := methods_sentence(record):
        return Answer(by_method)
    return Answer(_best_trial(record, best), _how_sure(record, best))


def _how_sure(record: StudyRecord, best: TrialRecord) -> str:
    told = filter(None, (certainty.against_own(record, best), certainty.close_by(record)))
    return " ".join(told) or "Nothing tells: one seed, and no other network to compare it with."


def _tickets(record: StudyRecord, trial: TrialRecord) -> str:
    """Say what tickets there are, each with what the seeds can tell.

    They are the sparsest as good as the dense network, the best one and the first that is worse.
    """
    primary = record.measured[0]
    sparsest, top = (
        winning_tickets.sparsest_reaching(trial.levels, primary),
        winning_tickets.best(trial.levels, primary),
    )
    worse = winning_tickets.first_worse(trial.levels)
    said = f"In trial {trial.key}, the best: " if len(record.complete) > 1 else ""
    dense = f"{lower_name(primary.name)} against {_reached(trial.levels[0], primary.name)}"
    best = f"{_kept(top)}{' of the weights' if sparsest is None else ''}: {_reached(top, primary.name)}"
    if sparsest is not None:
        said += f"The sparsest ticket that reaches the dense network keeps {_kept(sparsest)} of the weights: "
        said += f"{_reached(sparsest, primary.name)} {dense} ({_said(sparsest, primary.name)})."
        said += f" The best ticket keeps {best} ({_said(top, primary.name)})."
    else:
        said += "No ticket reaches the dense network. "
        said += f"The best one keeps {best} {dense} ({_said(top, primary.name)})."
    if worse is not None:
        said += f" Tickets are first found worse at {_kept(worse)} of the weights: "
        said += f"{_reached(worse, primary.name)} ({_said(worse, primary.name)})."
    return said


def _said(level: Level, metric: str) -> str:
    """Say the verdict in words that claim no more than it does."""
    told = level["verdict"][TICKET]
    if told["verdict"] == "one seed":
        return "one seed cannot tell them apart"
    if told["verdict"] == "no spread":
        return "all seeds differ by the same, which a test cannot judge"
    seeds = count(told["seeds"], "seed")
    word = (
        f"not told apart by {seeds}" if told["verdict"] == "matching" else f"{told['verdict']} over {seeds}"
    )
    low, high = (difference(metric, told[end]) for end in ("low", "high"))
    return f"{word}, difference {low} to {high}{points_of(metric)}"


def _kept(level: Level) -> str:
    return f"{percent(level['density'])}\N{NARROW NO-BREAK SPACE}%"


def _reached(level: Level, metric: str) -> str:
    ticket = level["tracks"][TICKET]
    value = mean_and_spread(metric, ticket[metric], ticket.get(f"{metric}_std"))
    return f"{value}\N{NARROW NO-BREAK SPACE}{unit_of(metric)}".rstrip()


def _best_trial(record: StudyRecord, best: TrialRecord) -> str:
    own, quality = record.own, quality_of(record)
    value = value_of(record, best, quality)
    if value is None:
        return _nothing_found(record)
    size, what = next(
        ((v, what) for name, what in _SIZES if (v := value_of(record, best, name)) is not None), (None, "")
    )
    kept = f" with {with_unit(PARAMS_KEPT, size)} of the {what}" if size is not None else ""
    said = f"The best network found, {method_of(best)}, "
    said += f"reaches {with_unit(quality, value)} {lower_name(quality)}{kept}."
    against = []
    if own is not None and own.key == best.key:
        said += " It is the method's own answer."
    elif own is not None and (reached := value_of(record, own, quality)) is not None:
        against.append(f"the method's own answer reaches {with_unit(quality, reached)}")
    if (dense := record.dense.get(quality)) is not None:
        against.append(f"the dense network{'' if against else ' reaches'} {with_unit(quality, dense)}")
    told = [said, _sentence(", ".join(against)) if against else ""]
    told.append(certainty.chosen(record, best))
    told.append(_better_baseline(record, value, quality))
    return " ".join(filter(None, told))


def _better_baseline(record: StudyRecord, reached: float, quality: str) -> str:
    """Name the baseline that is ahead of the best found, which is chosen among the trials; nothing elsewise.

    Only where the best is taken for its quality.
    """
    goal = record.choice.goal
    if record.choice.within is not None or goal.name != quality:
        return ""
    own = record.own.key if record.own else None
    others = [
        t for t in record.baselines if t.outcome == "complete" and t.key != own and not record.missed(t)
    ]
    values = {method_of(t): v for t in others if (v := value_of(record, t, quality)) is not None}
    ahead = max(values, key=lambda name: goal.gain(values[name]), default=None)
    if ahead is None or goal.gain(values[ahead]) <= goal.gain(reached):
        return ""
    return f"The baseline {ahead} does better: {with_unit(quality, values[ahead])}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _nearest(record: StudyRecord) -> str:
    """Say what the trial misses that is nearest to keeping every constraint, and what baselines keep."""
    nearest = record.nearest
    assert nearest is not None
    said = f"No network keeps every constraint. The nearest, {method_of(nearest)}, "
    said += f"misses {record.misses(nearest)}."
    keeping = [method_of(t) for t in record.baselines if t.outcome == "complete" and not record.missed(t)]
    return said + (f" Of the baselines, {', '.join(keeping)} would keep every one." if keeping else "")


def _nothing_found(record: StudyRecord) -> str:
    reasons = Counter(t.reason for t in record.trials if t.outcome == "failed" and t.reason)
    if not record.trials:
        return "No trial has started yet."
    said = (
        "No trial is complete yet."
        if record.count("running") or record.count("waiting")
        else "No trial was completed."
    )
    if reasons:
        reason, times = reasons.most_common(1)[0]
        said += f" The most frequent failure ({count(times, 'trial')}): {reason}"
    return said
