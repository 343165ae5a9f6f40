"""Pseudo-hosts: network, process, mount and host-name namespaces of Linux, each with its own SSH server.

They stand for the machines of a cluster and for the laptop that commands it. What differs from real
machines: one kernel, one disk, one clock, and ``~/studies`` of all cluster hosts is one folder, as a shared
file system would make it.
"""

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).parents[2]
_PROGRAMS = ("ip", "sshd", "ssh", "ssh-keygen", "rsync", "unshare", "nsenter")
_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_START_SECONDS = 20.0


def missing() -> str | None:
    """Return why this machine cannot have pseudo-hosts, None where it can."""
    absent = [name for name in _PROGRAMS if not shutil.which(name, path=_SBIN)]
    if absent:
        return f"pseudo-hosts need {', '.join(absent)}: `make test-system` installs them"
    if os.getuid() != 0:
        return "pseudo-hosts need root"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--mount", "--uts", "true"], capture_output=True
    )
    return None if tried.returncode == 0 else "this machine allows no Linux namespaces"


@dataclass
class Host:
    """One pseudo-host; ``home`` is where its home folder lies on the real machine."""

    name: str
    address: str
    home: Path
    script: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the host: its namespaces, its mounts and its SSH server."""
        command = ["ip", "netns", "exec", self.name, "unshare", "--pid", "--fork", "--kill-child", "--mount"]
        command += ["--uts", "--mount-proc", "bash", "-euc", self.script]
        with (self.home.parent / "host.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={"PATH": _SBIN},
            )  # fmt: skip

    def stop(self) -> None:
        """End the host as a power cut does: all its processes at once, none of them asked."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def pid(self) -> int:
        """Return the process that is the host's first, in whose namespaces a command runs on it."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def processes(self) -> list[psutil.Process]:
        """Return every living process of the host but its first."""
        return psutil.Process(self.pid()).children(recursive=True)


@dataclass
class Hosts:
    """A laptop and the hosts of a cluster on one network; ``home`` is each host's home, as it sees it."""

    root: Path
    home: Path
    laptop: Host
    nodes: list[Host]
    environment: dict[str, str] = field(default_factory=dict)

    def on_laptop(
        self, command: str, timeout: float = 300, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Type a command on the laptop, in its home folder."""
        return self.on(self.laptop, command, timeout, check)

    def on(
        self, host: Host, command: str, timeout: float = 300, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a host; where it fails so does the test, unless ``check`` is off."""
        done = subprocess.run(
            self.typed(host, command), env={}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(f"{host.name}$ {command}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def wait_for_ssh(self) -> None:
        """Wait until every cluster host lets the laptop in by SSH; fails where one does not."""
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        deadline = time.monotonic() + _START_SECONDS
        for host in self.nodes:
            command = f"ssh -i ~/.ssh/id_ed25519 {options} root@{host.address} hostname"
            while self.on_laptop(command, check=False).stdout.strip() != host.name:
                if time.monotonic() > deadline:
                    pytest.fail(f"{host.name} answers no SSH: {self.on_laptop(command, check=False).stderr}")
                time.sleep(0.2)

    def typed(self, host: Host, command: str) -> list[str]:
        """Return the real machine's command that types ``command`` on a host."""
        inside = ["nsenter", "--target", str(host.pid()), "--net", "--pid", "--mount", "--uts"]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return [*inside, "env", *variables, "bash", "-c", f"cd {shlex.quote(str(self.home))} && {command}"]


def _sshd_config(root: Path, environment: dict[str, str]) -> str:
    variables = " ".join(f'"{name}={value}"' for name, value in environment.items())
    return f"""
Port 22
HostKey {root}/host_key
AuthorizedKeysFile {root}/key.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
PidFile none
MaxStartups 50
Subsystem sftp internal-sftp
SetEnv {variables}
"""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, env={"PATH": _SBIN})


def _network(stack: ExitStack, names: Sequence[str], net: str) -> None:
    """Join the namespaces ``names`` by a bridge in the first one, at ``net``.1 and onwards."""
    for number, name in enumerate(names):
        _ip("netns", "add", name)
        stack.callback(subprocess.run, ["ip", "netns", "delete", name], env={"PATH": _SBIN})
        _ip("-n", name, "link", "set", "lo", "up")
        if number == 0:
            _ip("-n", name, "link", "add", "br0", "type", "bridge")
            _ip("-n", name, "addr", "add", f"{net}.1/24", "dev", "br0")
            _ip("-n", name, "link", "set", "br0", "up")
            continue
        _ip(
            "-n", names[0], "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name
        )
        _ip("-n", names[0], "link", "set", f"v{number}", "master", "br0", "up")
        _ip("-n", name, "addr", "add", f"{net}.{10 + number}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "route", "add", "default", "via", f"{net}.1")


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """A laptop and three hosts; the test that takes them starts Ray on them with ``ray up``."""
    if reason := missing():
        pytest.skip(reason)
    root = Path(tempfile.mkdtemp(prefix="tombola-hosts-", dir="/tmp"))
    mark = secrets.token_hex(2)
    names = [f"tombola-{mark}-{name}" for name in ("laptop", "1", "2", "3")]
    net = f"10.77.{secrets.randbelow(250) + 1}"
    home = root / "home"
    environment = {"HOME": str(home), "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
    for folder in (home, root / "studies", Path("/run/sshd"), Path("/tmp/ray")):
        folder.mkdir(parents=True, exist_ok=True)
    for key in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / key], check=True)
    (root / "passwd").write_text(_passwd(home))
    (root / "sshd_config").write_text(_sshd_config(root, environment | _without_registry(root)))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        _network(stack, names, net)
        made = [_host(root, home, name, net, number) for number, name in enumerate(names)]
        for host in made:
            host.start()
            stack.callback(host.stop)
        hosts = Hosts(root, home, made[0], made[1:], environment | _without_registry(root))
        hosts.wait_for_ssh()
        yield hosts


def _host(root: Path, home: Path, name: str, net: str, number: int) -> Host:
    own = root / name
    for folder in ("home", "ray"):
        (own / folder).mkdir(parents=True)
    is_laptop = number == 0
    (own / "home" / "studies").mkdir()
    (own / "home" / ".bashrc").touch()
    (own / "home" / ".bash_profile").write_text(". ~/.bashrc\n")
    if is_laptop:
        (own / "home" / ".ssh").mkdir(mode=0o700)
        shutil.copy2(root / "key", own / "home" / ".ssh" / "id_ed25519")
    mounts = [f"mount --bind {own}/home {home}", f"mount --bind {own}/ray /tmp/ray"]
    mounts += [f"mount --bind {root}/passwd /etc/passwd"]
    mounts += ["mount -t tmpfs -o size=2g tmpfs /dev/shm"]
    mounts += [] if is_laptop else [f"mount --bind {root}/studies {home}/studies"]
    last = "exec sleep infinity" if is_laptop else f"exec /usr/sbin/sshd -D -f {root}/sshd_config"
    script = "\n".join([f"hostname {name}", *mounts, last])
    return Host(name, f"{net}.{10 + number}" if number else f"{net}.1", own / "home", script)


def _passwd(home: Path) -> str:
    """Return the accounts of a host: this machine's, but root is at home in ``home``."""
    lines = Path("/etc/passwd").read_text().splitlines()
    return "".join(
        f"root:x:0:0:root:{home}:/bin/bash\n" if x.startswith("root:") else x + "\n" for x in lines
    )


def _without_registry(root: Path) -> dict[str, str]:
    """Return what lets uv install where no registry is reached: from the cache that `make test` filled."""
    uv = Path(sys.executable).with_name("uv")
    cache = subprocess.run([uv, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    return {
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": cache,
        "UV_LINK_MODE": "symlink",
        "PYTHONPYCACHEPREFIX": str(root / "compiled"),
    }
