"""Optuna's dashboard on a study that was really run: what it shows, what it keeps, what it refuses."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from sweeps import StudyRecord, load_record
from sweeps.cli import cli
from sweeps.dashboard.notes import Notes
from sweeps.dashboard.serve import dashboard_server
from sweeps.errors import SweepError
from sweeps.report.headline import headline
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import OUTCOME, REASON, ROOT, TRIAL_METRICS
from sweeps.study.screening import name_of_screening
from trainables.metric_names import DIVERGENCE

from .chromium import Page


class Dashboard:
    """A dashboard that is up, and a program that asks it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, host: str = "127.0.0.1") -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Host": f"{host}:{self.port}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def study(self, number: int = 0) -> dict[str, Any]:
        status, answer = self.ask("GET", f"/api/studies/{number}")
        assert status == 200, answer
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def dashboard(folder: Path) -> Iterator[Dashboard]:
    server = dashboard_server(StudyPaths(folder), None, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Dashboard(server.server_port)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def folder(without_dense: StudyRecord, tmp_path: Path) -> Path:
    shutil.copytree(str(without_dense.directory), tmp_path / "search")
    return tmp_path / "search"


@pytest.fixture
def served(folder: Path) -> Iterator[Dashboard]:
    with dashboard(folder) as running:
        yield running


def test_a_study_is_shown_with_its_names_its_notes_and_its_figures(served: Dashboard, folder: Path) -> None:
    record, shown = load_record(folder), served.study()
    assert shown["objective_names"] == [objective.name for objective in record.objectives]
    assert shown["note"]["body"].startswith(headline(record))
    assert [t["number"] for t in shown["trials"]] == [int(t.key) for t in record.trials]
    for seen, trial in zip(shown["trials"], record.trials, strict=True):
        assert tuple(seen["values"]) == trial.values
        assert f"--trial {trial.key} --to" in seen["note"]["body"]
        columns = {a["key"]: a["value"] for a in seen["user_attrs"]}
        assert float(columns["compress/params_kept"]) == trial.metrics["compress/params_kept"]
        assert not any("/layer/" in name for name in columns)


def test_the_report_and_the_networks_are_attached(served: Dashboard, folder: Path) -> None:
    shown, paths = served.study(), StudyPaths(folder)
    (report,) = shown["artifacts"]
    address = f"/artifacts/0/{report['artifact_id']}"
    assert f"[The report]({address})" in shown["note"]["body"]
    assert served.ask("GET", address) == (200, paths.report.read_bytes())
    first = shown["trials"][0]
    files = {a["filename"]: a["artifact_id"] for a in first["artifacts"]}
    assert {name.rpartition("/")[2] for name in files} >= {"result.json", "model.safetensors"}
    for name, artifact in files.items():
        status, content = served.ask("GET", f"/artifacts/0/{first['trial_id']}/{artifact}")
        assert (status, content) == (200, (folder / name).read_bytes())
    assert served.ask("GET", "/artifacts/0/00000000-0000-0000-0000-000000000000")[0] == 404


def test_the_study_cannot_be_changed_from_it(served: Dashboard, folder: Path) -> None:
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    (report,) = served.study()["artifacts"]
    upload = {"file": "data:text/plain;base64,aGk=", "filename": "hi.txt"}
    for method, path, body in (
        ("DELETE", "/api/studies/0", {}),
        ("POST", "/api/studies", {"study_name": "mine", "directions": ["minimize"]}),
        ("POST", "/api/artifacts/0", upload),
        ("DELETE", f"/api/artifacts/0/{report['artifact_id']}", None),
    ):
        status, answer = served.ask(method, path, body)
        assert status == 403, (path, answer)
        assert any(word in answer for word in (b"by its driver", b"put new ones there")), answer
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_what_a_person_writes_is_kept_in_the_folder(folder: Path) -> None:
    journal = (folder / "journal.log").read_bytes()
    with dashboard(folder) as first:
        trial = first.study()["trials"][1]
        for path, body in (("0", "Ours."), (f"0/{trial['trial_id']}", "Look at fc2.")):
            version = first.study()["note"]["version"] if path == "0" else trial["note"]["version"]
            status, _ = first.ask("PUT", f"/api/studies/{path}/note", {"version": version + 1, "body": body})
            assert status == 204
    with dashboard(folder) as second:
        shown = second.study()
    assert shown["note"]["body"] == "Ours."
    assert shown["trials"][1]["note"]["body"] == "Look at fc2."
    assert (folder / "journal.log").read_bytes() == journal


def test_a_trial_that_begins_meanwhile_is_shown(served: Dashboard, folder: Path) -> None:
    before = served.ask("GET", "/api/studies/0?after=0")
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    optuna.load_study(study_name=load_record(folder).name, storage=storage).ask()
    count = len(json.loads(before[1])["trials"])
    shown: list[dict[str, Any]] = []
    while len(shown) == count or not shown:  # the dashboard asks anew every two seconds
        shown = served.study()["trials"]
    assert shown[-1]["state"] == "Running" and shown[-1]["note"]["body"] == "Running."


def test_a_page_of_the_internet_cannot_ask_it(served: Dashboard) -> None:
    assert served.ask("GET", "/api/studies", host="rebound.example")[0] == 403
    assert served.ask("GET", "/api/studies", host="localhost")[0] == 200


def test_a_port_that_is_taken_is_named(served: Dashboard, folder: Path) -> None:
    with pytest.raises(SweepError, match=f"Port {served.port} cannot be used .*--port"):
        dashboard_server(StudyPaths(folder), None, served.port)


def test_a_browser_shows_it_and_asks_nobody_else(served: Dashboard, page: Page, folder: Path) -> None:
    page.open(f"http://127.0.0.1:{served.port}/dashboard/studies/0/note")
    sentence = headline(load_record(folder)).split(".")[0]
    page.run(
        f"new Promise(done => {{ const look = () => document.body.innerText.includes({json.dumps(sentence)})"
        " ? done(true) : setTimeout(look, 50); look() })"
    )
    page.open(f"http://127.0.0.1:{served.port}/dashboard/studies/0")
    page.run(
        "new Promise(done => { const look = () => document.querySelectorAll('.js-plotly-plot').length > 1"
        " ? done(true) : setTimeout(look, 50); look() })"
    )
    assert "compress/params_kept" in page.run("document.body.innerText")
    assert page.complaints == []
    ours = f"http://127.0.0.1:{served.port}/"
    assert [url for url in page.requests if not url.startswith((ours, "data:", "blob:"))] == []


def test_a_screening_has_notes_of_its_own_and_no_networks(folder: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    name = name_of_screening(load_record(folder).name)
    screening = optuna.create_study(study_name=name, storage=storage, direction="minimize")
    screening.add_trial(create_trial(value=0.5, user_attrs={TRIAL_METRICS: {DIVERGENCE: 0.5}}))
    with dashboard(folder) as served:
        shown = served.study(1)
        [trial] = shown["trials"]
        assert shown["artifacts"] == trial["artifacts"] == []
        assert "scored without training" in shown["note"]["body"]
        assert "0.5" in trial["note"]["body"] and "tombola export" not in trial["note"]["body"]
        written = {"version": shown["note"]["version"] + 1, "body": "Ours."}
        assert served.ask("PUT", "/api/studies/1/note", written)[0] == 204
    with dashboard(folder) as served:
        assert served.study(1)["note"]["body"] == "Ours." != served.study()["note"]["body"]


def test_a_trial_that_was_begun_twice_has_its_figures(folder: Path) -> None:
    attributes = {ROOT: 1, TRIAL_METRICS: {"val/accuracy": 0.75}}
    again = create_trial(value=0.75, user_attrs=attributes)
    notes = Notes(StudyPaths(folder), str).of([again], None)
    [note] = [text for text in notes.values() if "75.00" in str(text)]
    assert "begun more than once" in note and "--trial 1 --to" in note


def test_what_failed_is_shown_as_text_in_notes(folder: Path) -> None:
    reason = "the loss became NaN in <epoch> 2"
    failed = create_trial(state=TrialState.FAIL, user_attrs={OUTCOME: "failed", REASON: reason, ROOT: -1})
    notes = Notes(StudyPaths(folder), lambda: f"No trial was completed: {reason}").of([failed], None)
    shown = [text for text in notes.values() if "NaN" in str(text)]
    assert len(shown) == 2 and all("in &lt;epoch&gt; 2" in text for text in shown)


def test_on_port_80_a_browser_names_none(served: Dashboard) -> None:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("GET", "/api/studies", headers={"Host": "localhost"})
    assert connection.getresponse().status == 200


def test_a_port_that_cannot_be_is_wrong_usage(folder: Path) -> None:
    answer = CliRunner().invoke(cli, ["dashboard", str(folder), "--port", "70000"])
    assert answer.exit_code == 2 and "70000" in answer.stderr
