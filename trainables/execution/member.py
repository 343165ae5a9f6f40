"""A process that shares a trial's trainings with others: it joins them, and does its share of each work."""

import fcntl
import json
import os
import queue
import shutil
import socket
import struct
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
from torch import distributed

import pruners
from trainables.errors import StoreError, TaskError, TrainingError, TryAgain
from trainables.execution import epoch_work, network
from trainables.execution.epoch import trained_share
from trainables.execution.process_group.group import Answer
from trainables.store.disk import disk_full_explained
from trainables.training import device
from trainables.training.step_plan import Share
from trainables.users_code.factory import describe

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others in the middle of a training: what Ray Train's workers wait."""
_ADDRESS_OF_INTERFACE = 0x8915  # Linux's SIOCGIFADDR
_SAYS_ALL = (TaskError, TrainingError, StoreError, pruners.PrunerError)
_OUT_OF_TOUCH = ("gloo", "nccl", "store->get")


class GroupMember:
    """One process of a group, ``index`` of ``of`` from 0, that computes on one device."""

    def __init__(self, index: int, of: int, device_name: str):
        self._share, self._device_name = Share(index, of), device_name

    def do(self, command: str, given: str) -> Answer:
        """Do as told; whatever is raised becomes an answer."""
        try:
            if command == "join":
                self._join(given)
            else:
                self._train(Path(given))
        except Exception as error:
            said = " ".join(str(error).split()) if isinstance(error, _SAYS_ALL) else describe(error)
            trace = "".join(traceback.format_exception(error))
            if isinstance(error, StoreError | TryAgain):
                return Answer("store" if isinstance(error, StoreError) else "again", said, trace)
            return Answer("out_of_touch" if _is_lost_touch(error) else "failed", said, trace)
        return Answer("done")

    def _join(self, meeting: str) -> None:
        """Meet the others at a URL."""
        where = device.choose(self._device_name)
        kind, _, rest = meeting.partition("://")
        store: distributed.Store
        if kind == "file":
            _stay_on_this_machine()
            store = distributed.FileStore(rest, self._share.of)
        else:
            host, _, port = rest.rpartition(":")
            _speak_over_what_reaches(host)
            store = distributed.TCPStore(host, int(port), is_master=False, timeout=TIMEOUT)
        if where.type == "cuda":
            torch.cuda.set_device(where)
        distributed.init_process_group(
            "nccl" if where.type == "cuda" else "gloo",
            store=store,
            rank=self._share.index,
            world_size=self._share.of,
            timeout=TIMEOUT,
        )

    def _train(self, folder: Path) -> None:
        """Do this process's share of the work in a folder; the first leaves there what came of it."""
        work = epoch_work.read(folder)
        with disk_full_explained(folder), device.reproducible(work.threads):
            setting = work.setting(device.choose(self._device_name))
            current, optimizer, beside = epoch_work.read_networks(folder, setting)
            first = self._share.index == 0
            keep = {step: partial(_keep, current, folder, step) for step in work.keep if first}
            trained, metrics = trained_share(
                current, optimizer, work.stage, work.steps, setting, work.seed, keep, beside, self._share
            )
            if first:
                epoch_work.write_trained(folder, trained, optimizer, metrics)


def _stay_on_this_machine() -> None:
    """Speak to the others over the loopback interface only, where nobody said which one."""
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, loopback)


def _speak_over_what_reaches(host: str) -> None:
    """Speak over the interface by which a host of the cluster is reached, where nobody said which one.

    Gloo takes the one that has the address of this machine's name, by which many machines mean themselves.
    """
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reaching:
        reaching.connect((host, 9))  # sends nothing
        own = reaching.getsockname()[0]
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has no address
                told = fcntl.ioctl(reaching, _ADDRESS_OF_INTERFACE, struct.pack("256s", name.encode()))
                if socket.inet_ntoa(told[20:24]) == own:
                    os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def _keep(current: network.Network, folder: Path, step: int) -> None:
    kept = epoch_work.kept(folder, step)
    kept.mkdir()
    network.save(current, kept)


def _is_lost_touch(error: Exception) -> bool:
    """Tell whether an error is of the connection to the others: gloo's are plain RuntimeErrors."""
    is_plain = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _OUT_OF_TOUCH)
    return isinstance(error, distributed.DistError) or is_plain


def _left_behind(join: str = "", train: str = "") -> list[Path]:
    """Return the folders of the last commands, which whoever began this process would have removed."""
    kind, _, meeting = join.partition("://")
    return [*([Path(meeting).parent] if kind == "file" else []), *([Path(train)] if train else [])]


def main() -> None:
    """Do what lines of JSON on stdin say, until it is closed; the answers go to stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a network prints is no answer
    commands: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()

    def listen() -> None:
        last: dict[str, str] = {}
        for line in sys.stdin:
            told = json.loads(line)
            last[told["command"]] = told["given"]
            commands.put(told)
        for folder in _left_behind(**last):
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)  # also from the middle of a training

    threading.Thread(target=listen, name="commands", daemon=True).start()
    index, size, device_name, looked_in = sys.argv[1:]
    sys.path[:] = json.loads(looked_in)  # for the user's modules; ours is loaded
    member = GroupMember(int(index), int(size), device_name)
    while True:
        answers.write(json.dumps(asdict(member.do(**commands.get()))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
