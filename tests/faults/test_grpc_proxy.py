"""A study behind Optuna's gRPC proxy, which alone speaks to the database."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.storages._grpc.server import make_server

from sweeps.study.driver.held import hold_storage
from sweeps.study.paths import StudyPaths
from tests.faults.conftest import Tombola, ended
from tests.plugins.ports import free_port
from tests.plugins.until import until
from tests.sweeps.studies import digits

SERVER = """
import sys, warnings
import optuna
warnings.simplefilter("ignore")
storage = optuna.storages.get_storage(sys.argv[1])
optuna.storages.run_grpc_proxy_server(storage, host="127.0.0.1", port=int(sys.argv[2]))
"""


@contextmanager
def proxy(database: str, port: int) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, database, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            yield
        finally:
            server.kill()


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1")


def test_a_study_behind_a_proxy_outlives_the_proxy_and_has_one_driver(
    tombola: Tombola, postgresql: str, port: int
) -> None:
    url = f"grpc://127.0.0.1:{port}"
    parameters = {"training.lr": {"min": 0.01, "max": 0.1}}
    data = digits(name="behind-a-proxy", parameters=parameters, run_cap=20, storage={"study": url})
    (tombola.folder / "s.yaml").write_text(json.dumps(data))
    with proxy(postgresql, port):
        first = tombola.start("run", "s.yaml", "--in-process", "--out", "here")
        until(lambda: ended(tombola.folder / "here") >= 1)
        first.signal(signal.SIGSTOP)
        second = tombola("run", "s.yaml", "--in-process", "--out", "there")
        assert second.code == 2 and "already holds a study" in second.errors, second.errors
        (tombola.folder / "copy").mkdir()
        for name in ("study.json", "sweep.yaml"):
            (tombola.folder / "copy" / name).write_bytes((tombola.folder / "here" / name).read_bytes())
        (tombola.folder / "copy" / "trials").mkdir()
        second = tombola("resume", "copy", "--in-process")
        assert second.code == 1 and f"already being run by process {first.pid} on " in second.errors
    first.signal(signal.SIGCONT)
    until(lambda: f"The study's database {url} is away: " in first.printed)
    with proxy(postgresql, port):
        assert first.wait() == 0, first.printed + first.errors
        assert f"The study's database {url} is back." in first.printed
    rows = optuna.load_study(study_name="behind-a-proxy", storage=postgresql).trials
    assert [row.state.name for row in rows] == ["COMPLETE"] * 20


def test_a_proxy_that_is_not_there_is_a_sentence(tombola: Tombola, port: int) -> None:
    data = digits(storage={"study": f"grpc://127.0.0.1:{port}"})
    (tombola.folder / "s.yaml").write_text(json.dumps(data))
    run = tombola("run", "s.yaml", "--in-process", "--out", "here")
    assert run.code == 1
    assert run.errors == (
        f"tombola: The study's database grpc://127.0.0.1:{port} cannot be used: "
        "no proxy answers there within 10 s.\n"
    )


def test_a_driver_that_asks_whether_it_still_has_the_study_waits_for_the_proxy(
    tmp_path: Path, port: int
) -> None:
    storage, said = RDBStorage(f"sqlite:///{tmp_path}/studies.db"), list[str]()
    servers = [make_server(storage, "127.0.0.1", port)]
    servers[0].start()

    def come_back() -> None:
        servers.append(make_server(storage, "127.0.0.1", port))
        servers[1].start()

    with hold_storage(StudyPaths(tmp_path), "s", f"grpc://127.0.0.1:{port}", said.append) as held:
        held.check()
        assert said == []
        servers[0].stop(None).wait()
        back = threading.Timer(0.5, come_back)
        back.start()
        held.check()
        back.join()
    assert " is away: " in said[0] and said[-1].endswith(" is back.")
    servers[1].stop(None).wait()
