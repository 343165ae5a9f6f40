"""Studies in a PostgreSQL database whose drivers, hosts and server come and go."""

import gc
import json
import random
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import optuna
import psycopg
import pytest
import sqlalchemy

from sweeps import Sweep
from sweeps.errors import SweepError
from sweeps.running.screening import Screening
from sweeps.search.prepare import prepare
from sweeps.study import storage
from sweeps.study.database.outage import outage
from sweeps.study.driver.held import find_driver, hold_storage
from sweeps.study.load import load_record
from sweeps.study.paths import StudyPaths
from tests.faults.conftest import Tombola, ended
from tests.plugins.postgresql import Server, running_server
from tests.plugins.until import until
from tests.sweeps.studies import digits

TRIALS = 6
CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that tests may restart: the session's own is others' too."""
    with running_server() as server:
        yield server


@pytest.fixture
def sweep(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> str:
    """A sweep file whose study no other test has; its database's password is in the environment."""
    name: str = request.node.originalname + request.node.nodeid.partition("[")[2].rstrip("]")
    url = server.url.replace(server.password, "${TEAMS_PASSWORD}")
    parameters = {"training.lr": {"min": 0.01, "max": 0.1}}
    data = digits(name=name, parameters=parameters, run_cap=TRIALS, storage={"study": url})
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    return name


@pytest.fixture
def tombola(tombola: Tombola, server: Server) -> Tombola:
    tombola.environment["TEAMS_PASSWORD"] = server.password
    return tombola


def outcomes(server: Server, sweep: str) -> list[str]:
    """The states of the rows that ended a trial, one for each."""
    return [row.state.name for row in optuna.load_study(study_name=sweep, storage=server.url).trials]


def test_a_killed_driver_is_resumed_from_another_folder_by_another_name(
    server: Server, sweep: str, tombola: Tombola
) -> None:
    out = tombola.folder / "here"
    driver = tombola.start("run", "s.yaml", "--in-process", "--out", "here")
    until(lambda: ended(out) >= 2)
    driver.kill()
    out.rename(tombola.folder / "mounted elsewhere")
    resumed = tombola("resume", "mounted elsewhere", "--in-process")
    assert resumed.code == 0, resumed.errors
    assert f"{TRIALS} of {TRIALS} trials complete" in resumed.printed
    assert outcomes(server, sweep).count("COMPLETE") == TRIALS


def test_a_second_driver_on_a_host_that_shares_the_database_alone_is_refused(
    server: Server, sweep: str, tombola: Tombola
) -> None:
    first = tombola.start("run", "s.yaml", "--in-process", "--out", "here")
    until(lambda: ended(tombola.folder / "here") >= 1)
    first.signal(signal.SIGSTOP)
    shutil.copytree(tombola.folder / "here", tombola.folder / "copy")  # the same path on another host, say
    second = tombola("resume", "copy", "--in-process")
    shown = server.url.replace(server.password, "${TEAMS_PASSWORD}")
    assert second.code == 1
    assert re.fullmatch(
        f'tombola: "{sweep}" in {re.escape(shown)}: this study is already being run by '
        rf"process {first.pid} on \S+, since \S+\. Wait for it, or stop it first\.\n",
        second.errors,
    ), second.errors
    assert json.loads(tombola("status", "copy", "--json").printed)["driver"]["pid"] == first.pid
    first.signal(signal.SIGCONT)
    assert first.wait() == 0
    assert outcomes(server, sweep) == ["COMPLETE"] * TRIALS
    assert json.loads(tombola("status", "here", "--json").printed)["driver"] is None


def test_a_server_restarted_in_mid_sweep_is_waited_for(server: Server, sweep: str, tombola: Tombola) -> None:
    driver = tombola.start("run", "s.yaml", "--in-process", "--out", "here")
    until(lambda: ended(tombola.folder / "here") >= 1)
    watching = tombola.start("status", "here", "--watch")
    until(lambda: watching.printed != "")
    for done in (1, 3):
        until(lambda done=done: ended(tombola.folder / "here") >= done)
        server.end(signal.SIGQUIT)
        time.sleep(1.5)
        server.start()
    assert driver.wait() == 0, driver.printed + driver.errors
    assert "is away: " in driver.printed and "Trials go on; trying again in 1 s." in driver.printed
    assert " is back.\n" in driver.printed
    assert outcomes(server, sweep) == ["COMPLETE"] * TRIALS
    assert watching.wait() == 0, watching.errors
    assert f"{TRIALS} of {TRIALS} trials complete" in watching.printed.splitlines()[-2]


@pytest.mark.parametrize("seed", range(2))
def test_connections_cut_at_any_moment_lose_nothing_and_double_nothing(
    server: Server, sweep: str, tombola: Tombola, seed: int
) -> None:
    moments, cuts = random.Random(seed), 0
    driver = tombola.start("run", "s.yaml", "--in-process", "--out", "here")
    until(lambda: (tombola.folder / "here" / "trials").exists())
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        while driver.lives and cuts < 25:
            connection.execute(CUT)
            cuts += 1
            time.sleep(moments.uniform(0.0, 0.5))
    driver.wait()
    assert driver.code == 0, driver.printed + driver.errors
    assert cuts > 3
    assert outcomes(server, sweep) == ["COMPLETE"] * TRIALS
    assert json.loads(tombola("status", "here", "--json").printed)["complete"] == TRIALS


def test_reading_a_study_while_connections_are_cut_is_an_answer_or_a_sentence(
    server: Server, sweep: str, tombola: Tombola
) -> None:
    ran = tombola("run", "s.yaml", "--in-process", "--out", "here", "--trials", "1")
    assert ran.code == 0, ran.errors
    is_enough, out = threading.Event(), tombola.folder / "here"

    def cut_often() -> None:
        with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
            while not is_enough.wait(0.003):
                connection.execute(CUT)

    answers = Counter[str]()
    cutter = threading.Thread(target=cut_often)
    cutter.start()
    try:
        for _ in range(60):
            try:
                complete = load_record(out, server.url).count("complete")
                assert find_driver(StudyPaths(out), sweep, server.url) is None
                answers[f"{complete} complete"] += 1
            except SweepError as error:
                answers[str(error)] += 1
    finally:
        is_enough.set()
        cutter.join()
    sentence = r"The study's database \S+ (cannot be used|is away): .+\."
    assert all(answer == "1 complete" or re.fullmatch(sentence, answer) for answer in answers), answers
    assert answers.total() > answers["1 complete"]
    assert not any(server.password in answer for answer in answers)
    assert load_record(out, server.url).count("complete") == 1


def test_looking_at_a_study_leaves_no_connection_open(server: Server, tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path)
    others = CUT.replace("pg_terminate_backend(pid)", "*")
    gc.disable()
    try:
        storage.check(paths, "nobody's", server.url)
        assert find_driver(paths, "nobody's", server.url) is None
        with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
            until(lambda: connection.execute(others).fetchone() == (0,), 5)
    finally:
        gc.enable()


def test_a_transaction_that_the_server_ended_is_an_outage(server: Server) -> None:
    """As it does where its driver was paused in the middle of one, for its locks."""
    with sqlalchemy.create_engine(server.url).connect() as connection:
        connection.exec_driver_sql("SET idle_in_transaction_session_timeout = '50ms'")
        time.sleep(0.5)
        with pytest.raises(sqlalchemy.exc.DBAPIError) as ended:
            connection.exec_driver_sql("SELECT 1")
    assert outage(ended.value)


def test_a_screening_that_begins_while_the_server_restarts_waits_for_it(
    server: Server, tmp_path: Path
) -> None:
    data = digits(
        name="screened",
        compression={"method": "alds", "recalibrate_bn": 0, "retrain_epochs": 1},
        per_layer={"tolerance": {"min": 0.5, "max": 2}},
        screen={"trials": 4},
    )
    prepared, said = prepare(Sweep.from_data(data)), list[str]()
    screen = prepared.sweep.file.screen
    assert screen is not None
    with hold_storage(StudyPaths(tmp_path), "screened", server.url, said.append) as held:
        server.end(signal.SIGQUIT)
        back = threading.Timer(0.5, server.start)
        back.start()
        screening = Screening(prepared, screen, StudyPaths(tmp_path), held)
        back.join()
    assert not screening.is_complete
    assert " is away: " in said[0] and said[-1].endswith(" is back.")


def test_a_wrong_password_and_a_server_that_is_away_are_a_sentence_each(
    server: Server, sweep: str, tombola: Tombola
) -> None:
    run = ("run", "s.yaml", "--in-process", "--out", "here")
    shown = server.url.replace(server.password, "${TEAMS_PASSWORD}")
    tombola.environment["TEAMS_PASSWORD"] = "gu/e:s@ed"
    wrong = tombola(*run)
    assert wrong.code == 1
    assert wrong.errors.startswith(f"tombola: The study's database {shown} cannot be used: ")
    assert 'password authentication failed for user "tombola"' in wrong.errors
    assert wrong.errors.count("\n") == 1
    del tombola.environment["TEAMS_PASSWORD"]
    missing = tombola(*run)
    assert missing.code == 2
    assert missing.errors == f"tombola: storage.study: {shown}: the environment has no TEAMS_PASSWORD.\n"
    tombola.environment["TEAMS_PASSWORD"] = server.password
    server.end(signal.SIGINT)
    try:
        away = tombola(*run)
    finally:
        server.start()
    assert away.code == 1
    assert "Connection refused" in away.errors and away.errors.count("\n") == 1
    assert not (tombola.folder / "here" / "study.json").exists()


@pytest.mark.parametrize("how", ["PGPASSWORD", "PGPASSFILE"])
def test_the_password_comes_from_where_libpq_looks_for_it(
    server: Server, sweep: str, tombola: Tombola, how: str
) -> None:
    file = tombola.folder / "passwords"
    file.write_text(f"127.0.0.1:{server.port}:*:tombola:{server.password}\n")
    file.chmod(0o600)
    tombola.environment[how] = server.password if how == "PGPASSWORD" else str(file)
    url = server.url.replace(f":{server.password}", "")
    ran = tombola("run", "s.yaml", "--in-process", "--out", "here", "--storage", url, "--trials", "1")
    assert ran.code == 0, ran.errors
    assert tombola("status", "here").code == 0
