"""TensorBoard's event files of a study's trials, by the writer that Ray Tune brings along."""

from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from sweeps.report.drawing.wording import plain
from sweeps.study.record import StudyRecord, TrialRecord
from trainables.metric_names import OF_A_LAYER

_STEP = "step"


def write_events(record: StudyRecord, folder: Path) -> list[Path]:
    """Write a run for each complete trial and baseline, and return their folders.

    A run has the curves of the closing training over the optimiser's steps, and in TensorBoard's HParams the
    trial's parameters with its last metrics. Runs that stand there already are replaced.
    """
    complete = [trial for trial in (*record.trials, *record.baselines) if trial.outcome == "complete"]
    return [_write_run(record, trial, folder) for trial in complete]


def _write_run(record: StudyRecord, trial: TrialRecord, folder: Path) -> Path:
    run = folder / (trial.key if trial.key.startswith("baseline-") else f"trial-{trial.key}")
    for before in run.rglob("events.out.tfevents.*"):
        before.unlink()
    with SummaryWriter(logdir=str(run)) as writer:
        for point in trial.history:
            for name, value in _numbers(point).items():
                writer.add_scalar(name, value, int(point[_STEP]))
        last = _numbers(record.figures(trial) if trial.values else trial.metrics)
        params = {name: _shown(value) for name, value in trial.params.items()}
        # their own names, so that a curve is not taken for a trial's last value
        writer.add_hparams(params, {f"last/{name}": value for name, value in last.items()}, name="last")
    return run


def _numbers(metrics: Any) -> dict[str, float]:
    """Return the numbers that tell of a whole network, by their names."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if "/" in name and not name.startswith(OF_A_LAYER) and isinstance(value, int | float)
    }


def _shown(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else plain(value)
