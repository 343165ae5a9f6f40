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
from dataclasses import dataclass, field
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


@dataclass
class Server:
    """A PostgreSQL server with its data below ``directory``; made once, started and killed at will."""

    programs: Path
    directory: Path
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = field(default_factory=lambda: free_port("127.0.0.1"))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL as Optuna takes it, password included."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def account(self) -> str | None:
        """The user that runs it: PostgreSQL refuses to be run by root."""
        return "postgres" if os.getuid() == 0 else None

    def make(self) -> None:
        """Make its data folder, with one user who has a password."""
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        if self.account:
            for path in (self.directory, password_file):
                shutil.chown(path, self.account)
        initdb = [self.programs / "initdb", "--pgdata", self.directory / "data", "--username", USER]
        initdb += ["--pwfile", password_file, "--auth", "scram-sha-256"]
        initdb += ["--encoding", "UTF8", "--locale", "C", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=self.directory, user=self.account)

    def start(self) -> None:
        """Start it; returns when it accepts a login, and raises RuntimeError when it ends instead."""
        log = self.directory / "server.log"
        postgres = [self.programs / "postgres", "-D", self.directory / "data", "-h", "127.0.0.1"]
        postgres += ["-p", str(self.port), "-k", self.directory, "-F"]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                postgres, cwd=self.directory, user=self.account, stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url.replace("+psycopg", "")).close()
                return
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.1)

    def end(self, how: signal.Signals) -> None:
        """End it: by SIGINT in good order, by SIGQUIT as a crash does, in the middle of whatever it does."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(STOP_SECONDS)


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """A server that runs when the block begins, and is gone after it."""
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is missing; `make test-system` installs it.")
    # its socket's path must fit in 107 bytes
    directory = Path(tempfile.mkdtemp(prefix="tombola-pg-", dir="/tmp"))
    server = Server(programs, directory)
    try:
        server.make()
        server.start()
        yield server
    finally:
        if server.process and server.process.poll() is None:
            server.end(signal.SIGINT)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a running PostgreSQL database as Optuna takes it, password included."""
    with running_server() as server:
        yield server.url
