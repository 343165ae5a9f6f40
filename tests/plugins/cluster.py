"""A real Ray cluster on loopback: two ``ray start`` processes whose Python has never seen this project."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.plugins.ports import free_port
from tests.plugins.s3 import S3Server

# Ray replaces 127.0.0.1 by the address of a network card; these stay on loopback, one for each node.
HEAD_IP, SECOND_IP = "127.0.0.2", "127.0.0.3"
START_SECONDS, STOP_SECONDS = 120.0, 10.0


def make_bare_python(directory: Path) -> Path:
    """The interpreter of a new environment with our third-party packages and without the project.

    Its one ``.pth`` file names the site-packages of the running environment. Python does not follow the
    ``.pth`` files it finds there, and the editable installation of the project is one of them.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    python = directory / "bin" / "python"
    where = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    Path(where.stdout.strip(), "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@dataclass
class Node:
    """One ``ray start --block`` process and all it has started."""

    python: Path
    directory: Path
    arguments: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What ``ray start`` printed; Ray's own logs are below ``directory``."""
        return self.directory.with_suffix(".log")

    def start(self) -> None:
        """Start the node in a session of its own, away from the project's folder."""
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= self.environment
        command = [str(self.python), "-m", "ray.scripts.scripts", "start", "--block", *self.arguments]
        command += ["--temp-dir", str(self.directory), "--disable-usage-stats"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def processes(self) -> list[psutil.Process]:
        """Every living process of this node, workers included."""
        assert self.process is not None
        try:
            leader = psutil.Process(self.process.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End the node as a power cut does: every process at once, none of them asked."""
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()  # so that none starts another while its neighbours end
        self.end(processes)

    def stop(self) -> None:
        """End the node as ``ray stop`` would; that command itself ends every Ray process of the machine."""
        processes = self.processes()
        if processes:
            processes[0].terminate()
            psutil.wait_procs(processes, timeout=STOP_SECONDS)
        self.end(processes)

    def end(self, processes: list[psutil.Process]) -> None:
        """Kill what still runs of ``processes``, wait until all are gone, and collect ``ray start``."""
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert self.process is not None
        self.process.wait(STOP_SECONDS)
        psutil.wait_procs(processes, timeout=STOP_SECONDS)


@dataclass
class Cluster:
    """Two nodes of two CPUs each; ``address`` is what ``--address`` and ``ray.init`` take."""

    address: str
    python: Path
    head: Node
    second: Node
    nodes: list[Node] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = [self.head, self.second]

    def start(self) -> None:
        """Start both nodes; returns when Ray counts two."""
        self.head.start()
        self.wait_for_nodes(1)
        self.second.start()
        self.wait_for_nodes(2)

    def kill_second(self) -> None:
        """Lose the second node for good, and wait until Ray has noticed."""
        self.second.kill()
        self.wait_for_nodes(1)

    def restart_second(self) -> None:
        """Bring the second node back after :meth:`kill_second`."""
        self.second.start()
        self.wait_for_nodes(2)

    def stop(self) -> None:
        """Stop both nodes and nothing else."""
        for node in reversed(self.nodes):
            if node.process is not None:
                node.stop()

    def alive(self) -> int:
        """How many nodes Ray counts as alive; 0 where nothing answers. Needs no connection of the driver."""
        from ray._raylet import GcsClient

        try:
            nodes = GcsClient(address=self.address).get_all_node_info(timeout=5)
        except Exception:
            return 0
        return sum(node.state == 0 for node in nodes.values())

    def wait_for_nodes(self, count: int) -> None:
        """Wait until Ray counts exactly ``count`` nodes."""
        deadline = time.monotonic() + START_SECONDS
        while self.alive() != count:
            for node in self.nodes[:count]:
                if node.process is not None and node.process.poll() is not None:
                    raise RuntimeError(f"a Ray node ended: {node.log.read_text()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"Ray does not count {count} nodes: {self.head.log.read_text()}")
            time.sleep(0.2)


@contextmanager
def running_cluster(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster that runs when the block begins, its nodes with these variables, and is gone after it."""
    root = Path(tempfile.mkdtemp(prefix="tombola-", dir="/tmp"))  # Ray's socket paths must fit in 107 bytes
    python = make_bare_python(root / "bare")
    address = f"{HEAD_IP}:{free_port(HEAD_IP)}"
    # Ports as they come, so that another cluster of this machine does no harm.
    ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
    common = ["--num-cpus=2", "--object-store-memory=100000000", *ports]
    head = [
        "--head",
        f"--port={address.split(':')[1]}",
        f"--node-ip-address={HEAD_IP}",
        "--include-dashboard=false",
        *common,
    ]
    second = [f"--address={address}", f"--node-ip-address={SECOND_IP}", *common]
    nodes = [
        Node(python, root / name, arguments, dict(environment))
        for name, arguments in (("head", head), ("second", second))
    ]
    cluster = Cluster(address, python, *nodes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(s3_server: S3Server) -> Iterator[Cluster]:
    """The one Ray cluster of a test session; its workers never saw this project, and know an object store."""
    with running_cluster(s3_server.environment) as cluster:
        yield cluster
