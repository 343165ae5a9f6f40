"""The head of a cluster, commanded over SSH: a command is given there as it would be given here."""

import io
import shlex
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from sweeps.cluster.cluster_file import HeadAddress, find_head
from sweeps.errors import FAILED, SweepError

STUDIES = "studies"
"""The folder in a node's home that all nodes share; commands are given in it."""
_PROGRAM = "export PATH=~/tombola/.venv/bin:$PATH RAY_AUTH_MODE=token"
_SSH_FAILED = 255


class Head:
    """The head of the cluster that a file of ``ray up`` describes."""

    def __init__(self, cluster: Path):
        self.cluster = cluster
        self._at = find_head(cluster)

    def tombola(self, arguments: Sequence[str], environment: Mapping[str, str] = {}) -> int:
        """Give the command ``tombola`` on the head and return its exit code; its words are printed here."""
        return self._checked(self._ssh(["tombola", *arguments], environment)).returncode

    def asked(self, arguments: Sequence[str]) -> str:
        """Return what a program prints on the head. Raises `SweepError` with its own words where it fails."""
        done = self._checked(self._ssh(arguments, {}, capture_output=True))
        if done.returncode:
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
            raise SweepError(said.removeprefix("tombola: "), done.returncode)
        return done.stdout.decode()

    def send(self, folder: Path, name: str) -> PurePosixPath:
        """Copy a folder's content into ``name`` below the shared folder; returns its path on the head."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(folder, arcname=".")
        where = shlex.quote(name)
        script = f"mkdir -p {where} && tar -xz -C {where} && cd {where} && pwd"
        done = self._checked(
            self._ssh(["bash", "-c", script], {}, input=packed.getvalue(), capture_output=True)
        )
        if done.returncode:
            raise SweepError(f"{self}: {done.stderr.decode(errors='replace').strip()}.", FAILED)
        return PurePosixPath(done.stdout.decode().strip())

    def read(self, study: str, name: str) -> str:
        """Read a text file of a study that the head knows as ``study``.

        Raises `SweepError` where it cannot be read.
        """
        return self.asked(["python", "-m", "sweeps.cluster.study_file", study, name])

    def fetch(self, remote: str, local: Path) -> None:
        """Copy a file, or a folder's content, from the head into the folder ``local``.

        Raises `SweepError` where it is missing.
        """
        where = shlex.quote(remote)
        of_a_file = f"tar -cz -C $(dirname {where}) $(basename {where})"
        script = f"if [ -d {where} ]; then tar -cz -C {where} .; else {of_a_file}; fi"
        done = self._checked(self._ssh(["bash", "-c", script], {}, capture_output=True))
        if done.returncode:
            raise SweepError(f"{self}: {remote} cannot be read there.", FAILED)
        local.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            tar.extractall(local, filter="data")

    def __str__(self) -> str:
        return f"the head of {self.cluster} ({self._at.address})"

    def _ssh(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        input: bytes | None = None,
        capture_output: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        variables = [f"{name}={value}" for name, value in environment.items()]
        words = shlex.join(["exec", "env", *variables, *command])
        line = f"mkdir -p {STUDIES} && cd {STUDIES} && {_PROGRAM} && {words}"
        stdin = subprocess.DEVNULL if input is None else None
        return subprocess.run(
            [*_ssh_command(self._at), line], input=input, stdin=stdin, capture_output=capture_output
        )

    def _checked(self, done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[bytes]:
        if done.returncode == _SSH_FAILED:
            said = (done.stderr or b"").decode(errors="replace").strip() or "ssh failed"
            raise SweepError(f"{self} cannot be reached: {said.splitlines()[-1].rstrip('.')}.", FAILED)
        return done


def _ssh_command(at: HeadAddress) -> list[str]:
    """Return the command that reaches the head as Ray's own commands do.

    A cloud's machine is new each time, and so is its key.
    """
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "LogLevel": "ERROR",
        "ServerAliveInterval": "15",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
    }
    if at.key:
        options["IdentitiesOnly"] = "yes"
    if at.proxy_command:
        options["ProxyCommand"] = at.proxy_command
    key = ["-i", str(Path(at.key).expanduser())] if at.key else []
    return [
        "ssh",
        *key,
        *(x for n, v in options.items() for x in ("-o", f"{n}={v}")),
        f"{at.user}@{at.address}",
    ]
