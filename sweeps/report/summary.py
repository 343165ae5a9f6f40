"""The first thing a reader wants: what was found, beside what it is measured against."""

from collections import Counter
from dataclasses import dataclass

from sweeps.report import chart
from sweeps.report.words import NONE, OUTCOMES, compact, count, lower_name, method_of, number, quality_of, titled, value_of, with_unit
from sweeps.study.record import StudyRecord, TrialRecord


@dataclass(frozen=True)
class Row:
    """One network of the summary table, its cells as text."""

    label: str
    detail: str
    color: str
    cells: tuple[str, ...]


def heads(record: StudyRecord) -> list[str]:
    """The columns' names, in the order of `Row.cells`."""
    return [titled(quality_of(record)), "Test accuracy, %", "CR-P, %", "CR-F, %", "Parameters", "Latency, ms"]


def rows(record: StudyRecord) -> list[Row]:
    """Dense, the baselines, the method's own answer, the best found; those that exist."""
    found = [_dense_row(record)] if record.dense else []
    own, best = record.own, record.best
    for baseline in record.baselines:
        if own is None or baseline.key != own.key:
            found.append(_trial_row(record, baseline, chart.BASELINE))
    if own is not None:
        found.append(_trial_row(record, own, chart.OWN, "own", "Method's own answer"))
    if best is not None:
        found.append(_trial_row(record, best, chart.BEST, "best", "Best found"))
    return found


def _dense_row(record: StudyRecord) -> Row:
    quality, dense = quality_of(record), record.dense
    cells = (
        _mean_and_spread(quality, dense.get(quality), dense.get(f"{quality}_std")),
        _test(record, "dense", "dense"),
        "0.0",
        "0.0",
        _whole(dense.get("params")),
        number("latency_ms", dense.get("latency_ms")),
    )
    return Row("Dense", "uncompressed", chart.DENSE, cells)


def _trial_row(record: StudyRecord, trial: TrialRecord, color: str, role: str = "", label: str = "") -> Row:
    """Without a role and a label of its own the trial is a baseline, and its method's name is the label."""
    quality = quality_of(record)
    spread = trial.metrics.get(f"{quality}_std") if len(trial.replicates) > 1 else None
    cells = (
        _mean_and_spread(quality, value_of(record, trial, quality), spread),
        _test(record, role, trial.key),
        _removed(value_of(record, trial, "compress/params_kept")),
        _removed(value_of(record, trial, "compress/flops_kept")),
        _whole(value_of(record, trial, "compress/params")),
        number("latency_ms", value_of(record, trial, "compress/latency_ms")),
    )
    details = [method_of(trial) if label else "baseline"]
    if len(trial.replicates) > 1:
        details.append(count(len(trial.replicates), "replicate"))
    if trial.reason:
        details.append(f"{OUTCOMES[trial.outcome]}: {trial.reason}")
    return Row(label or method_of(trial), ", ".join(details), color, cells)


def _mean_and_spread(metric: str, mean: float | None, spread: float | None) -> str:
    text = number(metric, mean)
    return text if not spread or mean is None else f"{text} ± {number(metric, spread)}"


def _test(record: StudyRecord, role: str, key: str) -> str:
    reading = record.test.get(role, {})
    if reading.get("key") != key:
        return NONE
    return _mean_and_spread("test/accuracy", reading.get("test/accuracy"), reading.get("test/accuracy_std"))


def _removed(kept: float | None) -> str:
    return NONE if kept is None else f"{100 * (1 - kept):.1f}"


def _whole(value: float | None) -> str:
    return NONE if value is None else compact(round(value))


def notes(record: StudyRecord) -> list[str]:
    """What a reader must know to read the table."""
    said = ["CR-P and CR-F: share of the network's parameters and multiply-adds removed."]
    if record.test:
        said.append("Selection used the validation split; the test split was read once for each network, at the end.")
    else:
        said.append("The test split has not been read.")
    tested = record.test.get("best")
    if tested is not None and record.best is not None and tested.get("key") != record.best.key:
        said.append(f"The test split was read when trial {tested.get('key')} was the best; a better trial was found later.")
    return said


def headline(record: StudyRecord) -> str:
    """One or two sentences that say how the study stands."""
    best, own, quality = record.best, record.own, quality_of(record)
    value = value_of(record, best, quality) if best else None
    if best is None or value is None:
        return _nothing_found(record)
    kept = value_of(record, best, "compress/params_kept")
    size = f" with {with_unit('compress/params_kept', kept)} of the parameters" if kept is not None else ""
    said = f"The best network found, {method_of(best)}, reaches {with_unit(quality, value)} {lower_name(quality)}{size}."
    against = []
    if own is not None and own.key == best.key:
        said += " It is the method's own answer."
    elif own is not None and (reached := value_of(record, own, quality)) is not None:
        against.append(f"the method's own answer reaches {with_unit(quality, reached)}")
    if (dense := record.dense.get(quality)) is not None:
        against.append(f"the dense network{'' if against else ' reaches'} {with_unit(quality, dense)}")
    return " ".join([said, *([_sentence(", ".join(against))] if against else [])])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _nothing_found(record: StudyRecord) -> str:
    reasons = Counter(t.reason for t in record.trials if t.outcome == "failed" and t.reason)
    if not record.trials:
        return "No trial has started yet."
    said = "No trial is complete yet." if record.count("running") or record.count("waiting") else "No trial was completed."
    if reasons:
        reason, times = reasons.most_common(1)[0]
        said += f" The most frequent failure ({count(times, 'trial')}): {reason}"
    return said
