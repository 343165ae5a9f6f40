"""A real PostgreSQL server on loopback, for studies that live in a database."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.plugins.ports import free_port

USER = "tombola"
START_SECONDS, STOP_SECONDS = 60.0, 20.0


def server_programs() -> Path | None:
    """The folder with the newest ``initdb`` and ``postgres`` as Debian installs them, if any."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda program: float(program.parts[-3])
    )
    return installed[-1].parent if installed else None


def wait_until_it_answers(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until ``server`` accepts a login; raises RuntimeError when it ends instead."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
        time.sleep(0.1)


@contextlib.contextmanager
def running_server(programs: Path, directory: Path, password: str, port: int) -> Iterator[str]:
    """A server with its data below ``directory``; gives its URL without a driver's name."""
    password_file, data, log = directory / "password", directory / "data", directory / "server.log"
    password_file.write_text(password)
    account = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to be run by root
    if account:
        for path in (directory, password_file):
            shutil.chown(path, account)
    initdb = [
        programs / "initdb",
        "--pgdata",
        data,
        "--username",
        USER,
        "--pwfile",
        password_file,
        "--auth",
        "scram-sha-256",
    ]
    initdb += ["--encoding", "UTF8", "--locale", "C", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=directory, user=account)
    postgres = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", directory, "-F"]
    with log.open("wb") as output:
        server = subprocess.Popen(postgres, cwd=directory, user=account, stdout=output, stderr=output)
    url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
    try:
        wait_until_it_answers(server, url, log)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # ends the sessions that are still open, then the server
        server.wait(STOP_SECONDS)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a running PostgreSQL database as Optuna takes it, password included."""
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is missing; `make test-system` installs it.")
    directory = Path(
        tempfile.mkdtemp(prefix="tombola-pg-", dir="/tmp")
    )  # its socket's path must fit in 107 bytes
    try:
        with running_server(programs, directory, secrets.token_hex(16), free_port("127.0.0.1")) as url:
            yield url.replace("postgresql://", "postgresql+psycopg://")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
