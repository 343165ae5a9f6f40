"""Studies on a real S3 server: the same as on disk, whoever or whatever dies on the way."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pruners
import sweeps
from sweeps import StudyRecord, Sweep
from sweeps.errors import SweepError
from sweeps.study import storage
from sweeps.study.driver import object_lock
from sweeps.study.journal.object_journal import ObjectJournal
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import outcome_of, root_of
from tests.objects.objects import below, epochs_trained, flip, truncate
from tests.objects.unconditional import unconditional
from tests.plugins.s3 import S3Server
from tests.sweeps.commands import Answer, assert_short
from tests.sweeps.studies import digits
from trainables.places.object_path import ObjectPath
from trainables.places.place import place_of

Tombola = Callable[..., Answer]
PROJECT = Path(__file__).parents[2]  # whose tests hold the loss
ELSEWHERE = """
import os, signal, sys
from trainables.store import process
process._host = lambda: "another machine"
from sweeps.study.journal.object_journal import ObjectJournal
append, writes = ObjectJournal.append_logs, iter(range(10**6))
def pause_and_append(journal, logs):
    if next(writes) == 6:
        os.kill(os.getpid(), signal.SIGSTOP)
    append(journal, logs)
ObjectJournal.append_logs = pause_and_append
from sweeps.cli import main
main()
"""
LOSS = "tests.trainables.users:deadly_loss"  # ends its process at the training step that DIE_AT names
STEPS = 12  # of an epoch


def small(**keys: Any) -> dict[str, Any]:
    """Three trials with two epochs of dense training, which they share, and two of retraining."""
    data = digits(run_cap=3, budget={}, **keys)
    data["task"] = {**data["task"], "loss": LOSS}
    data["training"] = {"epochs": 2, "batch_size": 128, "lr": 0.05}
    data["compression"] = {"method": "alds", "retrain_epochs": 2, "recalibrate_bn": 0}
    data["parameters"] = {"budget.keep_ratio": {"min": 0.2, "max": 0.6}}
    return data


def figures(record: StudyRecord) -> list[tuple[Any, ...]]:
    names = ("val/accuracy", "val/loss", "dense/val/accuracy", "compress/error", "epochs_trained")
    told = [(t.key, t.outcome, t.values, *sorted(t.params.items())) for t in record.trials]
    return [*told, *(tuple(t.metrics[name] for name in names) for t in record.trials)]


def driver(
    sweep: Path, out: str, program: tuple[str, ...] = ("-m", "tombola"), **environment: str
) -> subprocess.Popen[str]:
    """A driver without Ray in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *program, "run", str(sweep), "--out", out, "--in-process"],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "WANDB_MODE": "disabled", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """The study in a folder of this machine."""
    return sweeps.run(Sweep.from_data(small()), tmp_path_factory.mktemp("disk") / "first", without_ray=True)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(small()))
    return path


def test_a_study_on_an_object_store_is_the_one_on_disk(
    s3: str, on_disk: StudyRecord, tombola: Tombola, sweep: Path
) -> None:
    answer = tombola("run", "s.yaml", "--out", f"{s3}/first", "--in-process")
    assert answer.exit_code == 0, answer.stderr
    assert f"{s3}/first/report.html" in answer.stdout and f"tombola resume {s3}/first" in answer.stdout
    record = sweeps.load_record(f"{s3}/first")
    assert figures(record) == figures(on_disk)
    assert record.test.keys() == on_disk.test.keys()
    assert [record.test[key]["test/accuracy"] for key in record.test] == [
        on_disk.test[key]["test/accuracy"] for key in on_disk.test
    ]
    assert not [path for path in Path.cwd().iterdir() if path.name.startswith("s3")]
    assert set(epochs_trained(s3).values()) == {1}
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert secret not in answer.stdout + answer.stderr
    assert not [path for path in below(s3) if secret.encode() in path.read_bytes()]

    status = json.loads(tombola("status", f"{s3}/first", "--json").stdout)
    assert (status["complete"], status["target"], status["best"]["trial"]) == (3, 3, record.best.key)
    [page] = below(s3, "report.html")
    page.unlink()
    answer = tombola("report", f"{s3}/first")
    assert (answer.exit_code, answer.stdout) == (0, f"{s3}/first/report.html\n")
    assert page.read_text().startswith("<!doctype html>")
    assert tombola("export", f"{s3}/first", "--to", "small").exit_code == 0
    answer = tombola("export", f"{s3}/first", "--to", f"{s3}/small")
    assert (answer.exit_code, answer.stderr) == (
        2,
        f"tombola: {s3}/small is a URL; give a folder of this machine.\n",
    )
    best = pruners.load("small")
    assert best.params == pruners.load(StudyPaths(on_disk.directory).best).params

    again = tombola("resume", f"{s3}/first", "--in-process", "--trials", "4")
    assert again.exit_code == 0, again.stderr
    assert len(sweeps.load_record(f"{s3}/first").complete) == 4


def test_a_driver_killed_anywhere_is_followed_by_another(s3: str, on_disk: StudyRecord, sweep: Path) -> None:
    deaths = (STEPS + 3, 3 * STEPS + 5)
    for death in deaths:
        killed = driver(sweep, s3, DIE_AT=str(death))
        printed, errors = killed.communicate(timeout=120)
        assert killed.returncode == -signal.SIGKILL, printed + errors
    last = driver(sweep, s3, WANDB_MODE="offline")
    printed, errors = last.communicate(timeout=120)
    assert last.returncode == 0, printed + errors
    record = sweeps.load_record(s3)
    assert [row[:-1] for row in figures(record)[3:]] == [row[:-1] for row in figures(on_disk)[3:]]
    rows = storage.load(StudyPaths(place_of(s3)), "digits", None).get_trials(deepcopy=False)
    ends = [root_of(row) for row in rows if outcome_of(row) == "complete"]
    assert len(ends) == len(set(ends)) == 3
    assert len([run for run in below(f"{s3}/wandb", ".wandb") if "offline-run-" in str(run)]) == 3, (
        "the dense network's too"
    )
    # each death costs the epoch that it cuts off, and no other
    assert sum(count - 1 for count in epochs_trained(s3).values()) <= len(deaths)


def test_a_server_that_dies_and_comes_back_is_waited_for(
    s3: str, s3_server: S3Server, on_disk: StudyRecord, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[StudyRecord] = []
    study = threading.Thread(
        target=lambda: answers.append(sweeps.run(Sweep.from_data(small()), s3, without_ray=True))
    )
    study.start()
    while len(below(s3, "result.json")) < 1:
        time.sleep(0.02)
    s3_server.kill()
    with caplog.at_level(logging.WARNING):
        time.sleep(3)
        s3_server.start()
        study.join(120)
    assert figures(answers[0]) == figures(on_disk)
    assert "s3://studies does not answer (" in caplog.text and "waiting up to 10 minutes" in caplog.text
    assert set(epochs_trained(s3).values()) == {1}


def test_a_second_driver_is_refused(s3: str, sweep: Path, tombola: Tombola) -> None:
    first = driver(sweep, s3)
    try:
        while not below(f"{s3}/journal/entries"):
            assert first.poll() is None
            time.sleep(0.05)
        first.send_signal(signal.SIGSTOP)
        second = tombola("run", "s.yaml", "--out", s3, "--in-process")
        assert second.exit_code == 1
        assert f"{s3}: this study is already being run by process {first.pid} on " in second.stderr
        assert_short(second.stderr)
        status = json.loads(tombola("status", s3, "--json").stdout)
        assert status["driver"]["pid"] == first.pid
    finally:
        first.send_signal(signal.SIGCONT)
        printed, errors = first.communicate(timeout=120)
    assert first.returncode == 0, printed + errors
    assert json.loads(tombola("status", s3, "--json").stdout)["driver"] is None


def test_a_driver_elsewhere_that_stands_still_is_taken_over_and_stops(
    s3: str, on_disk: StudyRecord, sweep: Path, tombola: Tombola, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = driver(sweep, s3, ("-c", ELSEWHERE))
    try:
        while os.waitpid(first.pid, os.WNOHANG | os.WUNTRACED) == (0, 0):
            time.sleep(0.05)
        monkeypatch.setattr(object_lock, "PATIENCE", 3.0)
        second = tombola("run", "s.yaml", "--out", s3, "--in-process")
        assert second.exit_code == 0, second.stderr
        assert f"This study was last run by process {first.pid} on " in second.stdout
    finally:
        first.send_signal(signal.SIGCONT)
        _, errors = first.communicate(timeout=120)
    assert first.returncode == 1
    assert f"tombola: {s3}: another driver has taken this study over" in errors
    assert "Traceback" not in errors
    assert figures(sweeps.load_record(s3))[3:] == figures(on_disk)[3:]
    assert set(epochs_trained(s3).values()) == {1}


def test_a_driver_that_was_taken_over_writes_nothing_more(s3: str) -> None:
    root = place_of(f"{s3}/journal")
    assert isinstance(root, ObjectPath)
    paused, other = ObjectJournal(root), ObjectJournal(root)
    paused.append_logs([{"op": 1}])
    assert list(other.read_logs(0)) == [{"op": 1}]
    other.append_logs([{"op": 2}])
    with pytest.raises(SweepError, match=f"{s3}: another driver has taken this study over"):
        paused.append_logs([{"op": 3}])
    assert list(ObjectJournal(root).read_logs(0)) == [{"op": 1}, {"op": 2}]


def test_a_long_journal_is_read_in_chunks(s3: str) -> None:
    root = place_of(f"{s3}/journal")
    assert isinstance(root, ObjectPath)
    writer = ObjectJournal(root)
    for number in range(600):
        writer.append_logs([{"op": number}])
    assert [p.name for p in below(f"{s3}/journal/chunks")] == ["0000000256.jsonl", "0000000512.jsonl"]
    reader = ObjectJournal(root)
    assert [log["op"] for log in reader.read_logs(0)] == list(range(600))
    writer.append_logs([{"op": 600}, {"op": 601}])
    assert [log["op"] for log in reader.read_logs(598)] == [598, 599, 600, 601]
    # a chunk that is damaged, and one that a driver killed before it never wrote
    for spoil in (flip, ObjectPath.unlink):
        spoil(below(f"{s3}/journal/chunks")[0])
        assert [log["op"] for log in ObjectJournal(root).read_logs(0)] == list(range(602))
    below(f"{s3}/journal/entries")[30].unlink()
    with pytest.raises(SweepError, match=r"entries/0000000031\.json: this entry of the study's journal is"):
        ObjectJournal(root).read_logs(0)


@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_damaged_entry_of_the_journal_is_named(s3: str, damage: Callable[[ObjectPath], None]) -> None:
    root = place_of(f"{s3}/journal")
    assert isinstance(root, ObjectPath)
    writer = ObjectJournal(root)
    for number in range(3):
        writer.append_logs([{"op": number}])
    damage(below(f"{s3}/journal/entries")[1])
    with pytest.raises(SweepError, match=r"entries/0000000002\.json: this entry of the study's journal is"):
        ObjectJournal(root).read_logs(0)


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        ("ftp://host/first", 2, "ftp://host/first is no place for files; known are s3://bucket/folder, "),
        ("s3://nowhere/first", 1, "s3://nowhere: there is no such bucket at http://"),
        ("s3://studies/nothing", 2, "s3://studies/nothing: no such study directory."),
    ],
)
def test_a_place_that_cannot_be_is_said(tombola: Tombola, s3: str, where: str, code: int, said: str) -> None:
    for command in (["status", where], ["resume", where], ["report", where], ["export", where, "--to", "x"]):
        answer = tombola(*command)
        assert answer.exit_code == code and answer.stderr.startswith(f"tombola: {said}"), answer.stderr
        assert_short(answer.stderr)


def test_a_url_that_pathlib_took_for_a_path_is_refused() -> None:
    with pytest.raises(SweepError, match="s3:/studies/first was a URL before pathlib took it for a path"):
        sweeps.load_record(Path("s3://studies/first"))


def test_a_store_of_an_unknown_kind_is_refused(tombola: Tombola, sweep: Path) -> None:
    answer = tombola("validate", "s.yaml", "--set", "storage.store=ftp://host/store")
    assert answer.exit_code == 2 and "storage.store: ftp://host/store is no place for files" in answer.stderr


def test_a_store_on_an_object_store_serves_studies_on_disk(
    s3: str, on_disk: StudyRecord, tmp_path: Path
) -> None:
    data = small(storage={"store": f"{s3}/store"})
    first = sweeps.run(Sweep.from_data(data), tmp_path / "first", without_ray=True)
    assert figures(first) == figures(on_disk)
    begun = epochs_trained(s3)
    second = sweeps.run(Sweep.from_data(data), tmp_path / "second", without_ray=True)
    assert [t.values for t in second.trials] == [t.values for t in first.trials]
    assert epochs_trained(s3) == begun


def test_a_server_without_conditional_writes_is_refused(
    s3: str, s3_server: S3Server, tombola: Tombola, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unconditional(s3_server.ports["-s3.port"]) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")  # which would cover the conditions
        answer = tombola("run", "s.yaml", "--out", s3, "--in-process")
        assert answer.exit_code == 1
        assert f"{s3}: this object store knows no conditional writes (If-None-Match)" in answer.stderr
        assert_short(answer.stderr)
        assert not below(s3, "study.json")
