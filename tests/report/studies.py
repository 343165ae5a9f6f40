"""Studies as `load_record` would read them: a real Optuna study in memory, layers with real counts."""

import math
import random
from dataclasses import replace
from pathlib import Path

import optuna

from sweeps.study.record import Objective, Outcome, StudyRecord, TrialRecord

# name, (output channels, input channels, kernel rows, kernel columns)
LAYERS = {
    "conv1": (16, 1, 3, 3),
    **{f"layer1.{block}.conv{conv}": (16, 16, 3, 3) for block in range(3) for conv in (1, 2)},
    **{
        f"layer2.{block}.conv{conv}": (32, 16 if (block, conv) == (0, 1) else 32, 3, 3)
        for block in range(3)
        for conv in (1, 2)
    },
    **{
        f"layer3.{block}.conv{conv}": (64, 32 if (block, conv) == (0, 1) else 64, 3, 3)
        for block in range(3)
        for conv in (1, 2)
    },
    "fc": (10, 64, 1, 1),
}
DENSE_PARAMS, DENSE_MULTIPLY_ADDS = 272_186, 40_560_000
OBJECTIVES = (Objective("val/accuracy", "maximize"),)
OUTCOMES: dict[optuna.trial.TrialState, Outcome] = {
    optuna.trial.TrialState.COMPLETE: "complete",
    optuna.trial.TrialState.PRUNED: "stopped_early",
    optuna.trial.TrialState.FAIL: "failed",
}


def layers_at(keep: float, seed: int) -> dict[str, dict[str, float]]:
    """A decomposition of every layer: rank and subspaces, and what they cost by rank (f k + c k1 k2)."""
    draw = random.Random(seed)
    chosen = {}
    for name, (f, c, k1, k2) in LAYERS.items():
        num_subspaces = draw.choice([k for k in (1, 2, 4) if c % k == 0])
        dense, one_rank = f * c * k1 * k2, f * num_subspaces + c * k1 * k2
        rank = max(1, int(keep * draw.uniform(0.7, 1.6) * dense / one_rank))
        params = min(dense, rank * one_rank)
        error = round(1 - math.sqrt(params / dense), 4)
        chosen[name] = {
            "rank": rank,
            "num_subspaces": num_subspaces,
            "error": error,
            "params": params,
            "dense_params": dense,
        }
    return chosen


def network(
    key: str, accuracy: float, keep: float, seed: int, replicates: int = 1, **more: object
) -> TrialRecord:
    layers = layers_at(keep, seed)
    params = DENSE_PARAMS - sum(layer["dense_params"] - layer["params"] for layer in layers.values())
    metrics = {
        "val/accuracy": accuracy,
        "val/accuracy_std": 0.0021,
        "compress/params": params,
        "compress/params_kept": params / DENSE_PARAMS,
        "compress/flops_kept": params / DENSE_PARAMS * 1.17,
        "compress/latency_ms": 1.8 + 4 * params / DENSE_PARAMS,
        "compress/error": max(layer["error"] for layer in layers.values()),
    }
    seeds = [{"seed": s, "metrics": metrics} for s in range(replicates)]
    more |= {"metrics": metrics, "layers": layers, "replicates": seeds}
    return TrialRecord(key, "complete", **more)  # type: ignore[arg-type]


def study_record(
    directory: Path,
    *,
    trials: int = 24,
    objectives: tuple[Objective, ...] = OBJECTIVES,
    replicates: int = 1,
    failing: bool = False,
    name: str = "alds_digits",
    layer: str = "conv1",
) -> StudyRecord:
    """A study over ten per-layer tolerances; ``layer`` is what the first layer is called.

    Every sixth trial is stopped early, and every eighth fails (``failing``: all).
    """
    called = {"conv1": layer}
    study = optuna.create_study(
        directions=[o.goal for o in objectives], sampler=optuna.samplers.RandomSampler(seed=1)
    )
    records = []
    for number in range(trials):
        trial = study.ask()
        tolerances = {
            name: trial.suggest_float(f"{called.get(name, name)}/tolerance", 0.25, 4, log=True)
            for name in list(LAYERS)[:10]
        }
        loss = 0.004 * math.log2(tolerances["conv1"]) ** 2 + 0.001 * sum(
            math.log2(t) ** 2 for t in tolerances.values()
        )
        keep = 0.25 if len(objectives) == 1 else 0.1 + 0.4 * trial.suggest_float("keep_ratio", 0, 1)
        accuracy = 0.988 - loss - (0.02 * (0.5 - keep) if len(objectives) > 1 else 0)
        record = network(
            str(number),
            accuracy,
            keep,
            number,
            replicates,
            params=dict(trial.params),
            seconds=3.1 + number / 7,
        )
        values = [record.metrics[o.name] for o in objectives]
        state, reason = optuna.trial.TrialState.COMPLETE, None
        if failing or number % 8 == 5:
            state, reason = optuna.trial.TrialState.FAIL, "the loss became NaN in <epoch> 2 of the retraining"
        elif number % 6 == 4 and len(objectives) == 1:
            state = optuna.trial.TrialState.PRUNED
        curve = {epoch: accuracy - 0.05 / epoch for epoch in range(1, 6 if state.name == "COMPLETE" else 3)}
        if len(objectives) == 1:
            for epoch, value in curve.items():
                trial.report(value, epoch)
        complete = state == optuna.trial.TrialState.COMPLETE
        study.tell(trial, values if complete else None, state)
        records.append(
            TrialRecord(
                record.key,
                OUTCOMES[state],
                record.params,
                tuple(values) if complete else None,
                record.metrics if complete else {},
                {called.get(n, n): figures for n, figures in record.layers.items()} if complete else {},
                record.replicates,
                curve if len(objectives) == 1 else {},
                reason=reason,
                seconds=record.seconds,
            )
        )
    baselines = (
        network("baseline-svd", 0.941, 0.25, 101, replicates),
        network("baseline-svd_energy", 0.962, 0.25, 102, replicates),
    )
    own = records[0] if records and records[0].outcome == "complete" else None
    reading = {"test/accuracy": 0.9791, "test/accuracy_std": 0.0018, "read_at": "2026-01-05T10:12:00+00:00"}
    unread = StudyRecord(
        directory=directory,
        name=name,
        objectives=objectives,
        target=trials or 24,
        trials=tuple(records),
        baselines=baselines if trials else (),
        dense={
            "val/accuracy": 0.9912,
            "val/loss": 0.031,
            "params": DENSE_PARAMS,
            "multiply_adds": DENSE_MULTIPLY_ADDS,
        }
        if trials
        else {},
        own=own,
        test={},
        sweep={
            "name": name,
            "method": "tpe",
            "task": {"network": "resnet20", "data": "digits"},
            "compression": {"method": "alds", "options": {"metric": "max"}},
            "budget": {"keep_ratio": 0.25, "parameters": None, "flops_ratio": None},
            "run_cap": trials,
        },
        provenance={
            "created": "2026-01-05T10:09:14+00:00",
            "seed": 0,
            "git_commit": "3f2a9c1",
            "versions": {"tombola": "0.1.0", "torch": "2.15.0", "optuna": "5.0.0", "ray": "2.60.0"},
        },
        study=study,
    )
    if unread.best is None or own is None:
        return unread
    test = {
        role: {"key": key, **reading}
        for role, key in (("dense", "dense"), ("own", own.key), ("best", unread.best.key))
    }
    return replace(unread, test=test)
