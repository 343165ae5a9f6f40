"""What goes wrong beside W&B: a recorder that cannot do its work, and drivers that were killed."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sweeps.running.conductor import TrialToRun
from sweeps.running.tracker_observer import TrackerObserver
from sweeps.study.paths import StudyPaths
from sweeps.tracking.journal import Follower, append, journals
from sweeps.tracking.tracker import Labels, Tracker
from tests.plugins.until import until
from trainables.config import trial_config
from trainables.places.place import place_of

from .runs import BEGIN, begin, point, recorder_of, steps_on_disk, tracker, warnings_of
from .test_beginning import SETTINGS
from .wandb_server import WandbServer, serving


def test_a_run_that_cannot_be_written_is_said_and_kept(
    paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    study = tracker(paths, mode="offline")
    study.start("3", begin(tags=["much" * 17]))
    study.start("4", BEGIN)
    for key in ("3", "4"):
        study.finish(key, "complete", point(10))
    study.close()
    [warning] = warnings_of(caplog)
    assert "the run of trial 3 could not be written (" in warning and "1 and 64 characters" in warning
    assert f"`tombola resume` makes them of what {paths.wandb}/unfinished keeps" in warning
    assert steps_on_disk(paths) == {"s1-4": [10]} and journals(paths.wandb).keys() == {"3"}


def test_a_recorder_that_is_killed_is_said_and_the_next_driver_makes_its_runs(
    paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    first = tracker(paths, mode="offline")
    first.start("3", BEGIN)
    recorder = recorder_of(paths)
    recorder.kill()
    recorder.wait(10)
    first.finish("3", "complete", point(10))
    first.close()
    [warning] = warnings_of(caplog)
    assert "the process that makes its runs has ended" in warning and "`tombola resume` makes them" in warning
    tracker(paths, mode="offline").close()
    assert steps_on_disk(paths) == {"s1-3": [10]} and not journals(paths.wandb)


def test_a_recorder_that_cannot_start_costs_a_study_its_runs_and_nothing_else(
    paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    (paths.wandb / "recorder.log").mkdir(parents=True)
    study = tracker(paths, mode="offline")
    study.start("3", BEGIN)
    study.close()
    [warning] = warnings_of(caplog)
    assert warning.startswith("W&B's runs record no more: ")


def test_a_journal_that_an_earlier_recorder_has_just_done_with_lacks_nothing(paths: StudyPaths) -> None:
    unfinished = paths.wandb / "unfinished"
    unfinished.mkdir(parents=True)
    study = tracker(paths, mode="offline")
    gone = unfinished / "4.jsonl"  # as a journal that is listed and then removed
    gone.symlink_to("nowhere")
    assert study.unfinished() == set()
    gone.unlink()
    study.close()


def test_a_run_that_is_told_of_twice_is_made_once(
    paths: StudyPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home := tmp_path / "home"))
    for _ in range(2):  # a driver, its recorder with it, was killed; the next is quicker than its own
        append(paths.wandb, "best", {"begin": BEGIN})
        append(paths.wandb, "best", {"end": ENDED})
    tracker(paths, mode="offline").close()
    assert steps_on_disk(paths) == {"s1-best": [10]} and not journals(paths.wandb)
    assert not warnings_of(caplog)
    assert not home.exists(), "the table waits for its upload in the study's folder"


ENDED = {
    "outcome": "complete",
    "failed": None,
    "at": 1.0,
    "point": {"step": 10, "val/accuracy": 0.1},
    "curves": {},
    "layers": {"compress/layer/fc/rank": 3},
    "others": {},
}


def test_names_are_as_w_and_b_takes_them(server: WandbServer, paths: StudyPaths, tmp_path: Path) -> None:
    network = tmp_path / "best"
    network.mkdir()
    (network / "spec.json").write_text("{}")
    study = Tracker(paths, Labels("my project", "lab", "x" * 200, "s1"))
    study.start("best", begin(network=str(network)))
    study.finish("best", "complete", {"val/accuracy": 0.1, "dense/val/accuracy": 0.2})
    study.close()
    assert [name for name in server.artifacts if name.endswith("best")] == ["x" * 120 + "-best"]
    assert "/lab/my%20project/runs/s1-dense)" in server.runs["s1-best"].attributes["notes"]


def test_a_result_is_found_by_a_driver_that_is_started_elsewhere(
    paths: StudyPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(paths.root.parent)
    relative = StudyPaths(Path("study"))
    study = tracker(relative, mode="offline")
    observer = TrackerObserver(study, relative, "s1")
    observer.started(TrialToRun("3", {}, trial_config.validate_python(SETTINGS)))
    observer.ended("3", "failed", {}, "s3://me:hidden@here is away")
    begun, ended = Follower(journals(paths.wandb)["3"]).events()
    study.close()
    assert begun["begin"]["result"] == str(paths.result("3"))
    assert ended["end"]["failed"] == "s3://me:***@here is away"


def test_runs_do_not_wait_for_w_and_b_each_by_itself(
    server: WandbServer, paths: StudyPaths, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault = 401
    study = tracker(paths)
    study.start("0", BEGIN)
    until(lambda: bool(warnings_of(caplog)))
    for key in map(str, range(24)):
        study.start(key, BEGIN)
        study.finish(key, "complete", point(10))
    until(lambda: not journals(paths.wandb))
    threads = recorder_of(paths).num_threads()
    study.close()
    assert len(steps_on_disk(paths)) == 24
    assert threads < 20


class Store(ThreadingHTTPServer):
    """An object store that refuses everybody, until it does not, and knows what it was given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refuses = True
        self.given: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Store

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if not self.server.refuses:
            self.server.given.append(self.path)
        self.send_response(403 if self.server.refuses else 200)
        self.send_header("etag", '"e"')
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silence on the terminal."""


def test_a_run_that_an_object_store_does_not_take_is_copied_by_the_next_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths = StudyPaths(place_of("s3://studies/one"))
    with serving(Store()) as server:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        first = tracker(paths, mode="offline")
        for key in ("3", "4"):
            first.start(key, BEGIN)
            first.finish(key, "complete", point(10))
        first.close()
        [warning] = warnings_of(caplog)
        assert "s3://studies: the object store" in warning and "refuses" in warning
        assert journals(paths.wandb).keys() == {"3", "4"}
        server.refuses = False
        tracker(paths, mode="offline").close()
        assert not journals(paths.wandb)
        copied = [path for path in server.given if path.endswith(".wandb")]
        assert sorted(path.rpartition("/")[2] for path in copied) == ["run-s1-3.wandb", "run-s1-4.wandb"]
