"""Studies within a budget in time, and after the least of it."""

from pathlib import Path

from sweeps import Sweep
from sweeps.report.page import write_report
from tests.sweeps.studies import digits, run
from trainables.config import BudgetConfig

SHIPPED = Path(__file__).parents[2] / "sweeps/configs/latency_fashion.yaml"


def test_a_study_after_accuracy_and_time_within_a_time(tmp_path: Path) -> None:
    data = digits(
        task={"network": "conv2", "data": "digits"},
        training={"epochs": 1, "batch_size": 256, "lr": 0.05},
        compression={"latency_batch": 2, "recalibrate_bn": 0},
        parameters={"compression.method": {"values": ["ft", "l1"]}},
        budget={"latency_ratio": 1.0},
        method="grid",
        run_cap=2,
        constraints=[{"metric": "compress/latency_kept", "at_most": 1000}],
    )
    del data["metric"]
    data["metrics"] = [
        {"name": "val/accuracy", "goal": "maximize"},
        {"name": "compress/latency_kept", "goal": "minimize"},
    ]
    record = run(data, tmp_path / "study")
    assert record.count("complete") == 2 and record.best and record.best.values
    for trial in record.complete:
        assert trial.values == (trial.metrics["val/accuracy"], trial.metrics["compress/latency_kept"])
    write_report(record, tmp_path / "report.html")
    assert "100 % of the time" in (tmp_path / "report.html").read_text()


def test_the_shipped_sweep_gives_every_method_the_same_time() -> None:
    sweep = Sweep.from_file(SHIPPED)
    drawn = [sweep.sections(draw) for draw in sweep.draws_for_all()]
    assert {one.compression.method for one in drawn} == {"ft", "taylor", "pfp", "calibrated"}
    assert all(one.budget == BudgetConfig(latency_ratio=0.5) for one in drawn)
    assert all(one.compression.latency_batch == 32 for one in drawn)
