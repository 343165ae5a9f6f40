"""TensorBoard's event files say what the study says."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tensorboardX.proto.event_pb2 import Event

from sweeps import StudyRecord
from sweeps.cli import cli
from sweeps.report.tensorboard import write_events


def events(run: Path) -> Iterator[Any]:
    """The events of a run's files, by the format of TFRecord: length, its checksum, data, their checksum."""
    for file in sorted(run.glob("events.out.tfevents.*")):
        content, place = file.read_bytes(), 0
        while place < len(content):
            [length] = struct.unpack_from("<Q", content, place)
            yield Event.FromString(content[place + 12 : place + 12 + length])
            place += 12 + length + 4


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(run):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_curves_and_last_values_are_those_of_the_study(
    at_initialisation: StudyRecord, tmp_path: Path
) -> None:
    runs = write_events(at_initialisation, tmp_path / "events")
    write_events(at_initialisation, tmp_path / "events")  # which replaces them
    assert [run.name for run in runs] == [f"trial-{t.key}" for t in at_initialisation.complete]
    for run, trial in zip(runs, at_initialisation.complete, strict=True):
        told = scalars(run)["val/accuracy"]
        assert told == [(int(p["step"]), pytest.approx(p["val/accuracy"])) for p in trial.history]
        assert len(told) == 2
        [last] = scalars(run / "last")["last/val/accuracy"]
        assert last[1] == pytest.approx(trial.metrics["val/accuracy"])
        named = b"".join(event.SerializeToString() for event in events(run / "last"))
        assert b"compression.method" in named and str(trial.params["compression.method"]).encode() in named


def test_the_command_names_the_runs(without_dense: StudyRecord, tmp_path: Path) -> None:
    words = ["report", str(without_dense.directory), "--tensorboard", str(tmp_path / "events")]
    printed = CliRunner().invoke(cli, words, catch_exceptions=False).output.splitlines()
    assert printed[1:] == [str(tmp_path / "events" / f"trial-{t.key}") for t in without_dense.complete]
