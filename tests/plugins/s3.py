"""A real S3 server on loopback, for studies on an object store: SeaweedFS, one binary from a Python wheel.

It keeps what it is given in files, checks signatures, and creates and replaces under conditions.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.plugins.ports import free_port

START_SECONDS, STOP_SECONDS = 60.0, 20.0
BUCKET = "studies"
# Each service has a second port for gRPC, which is this one and 10,000 where it is not told.
_PORTS = [f"-{name}.port{kind}" for name in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]


@dataclass
class S3Server:
    """A server with its data below ``directory``, which may be killed and started again."""

    directory: Path
    key: str = "tombola-tests"
    secret: str = field(default_factory=lambda: secrets.token_hex(20))
    ports: dict[str, int] = field(
        default_factory=lambda: {option: free_port("127.0.0.1") for option in _PORTS}
    )
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.ports['-s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells a process of the server, as AWS's own tools are told."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start the server and wait until it answers and stores."""
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": self.key, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        config = self.directory / "s3.json"
        anyone = {"name": "anonymous", "actions": identity["actions"]}  # who signs nothing at all
        config.write_text(json.dumps({"identities": [identity, anyone]}))
        command = [str(Path(sys.executable).with_name("weed")), "server", f"-dir={self.directory}", "-s3"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={config}"]
        command += ["-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += ["-volume.max=8", "-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s"]
        command += [f"{option}={port}" for option, port in self.ports.items()]
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                # it would take a key there for an administrator's
                env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            )
        self._wait_until_it_stores()

    def kill(self) -> None:
        """End the server at once, as a crash of its machine would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def _wait_until_it_stores(self) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if BUCKET not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
                    client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="is-it-there", Body=b"yes")
                return
            except (BotoCoreError, ClientError) as error:
                assert self.process is not None
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log = (self.directory / "server.log").read_text()[-3000:]
                    raise RuntimeError(f"SeaweedFS did not start: {log}") from error
            time.sleep(0.2)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A running server with the bucket ``studies``."""
    directory = Path(tempfile.mkdtemp(prefix="tombola-s3-", dir="/tmp"))
    server = S3Server(directory)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.kill()
        for port in server.ports.values():
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a folder on a real S3 server that no other test has; the environment names the server."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}"
