"""Groups of processes for tests, forked from a server that has torch in memory: each begins at once."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.trainables.configs import TASK, TRAINING
from tests.trainables.processes import CONTEXT, start
from trainables.execution.member import GroupMember
from trainables.execution.process_group.group import Answer, Member
from trainables.execution.process_group.on_this_machine import LocalGroup
from trainables.task.task import build_network, load_data
from trainables.training.data_parallel import as_first, of_part
from trainables.training.loop import train
from trainables.training.optimizer import make
from trainables.training.step_plan import Share, StepPlan


def serve(pipe: Connection, index: int, size: int, device: str, environment: dict[str, str]) -> None:
    """Do as told until the pipe is closed."""
    os.environ |= environment
    member = GroupMember(index, size, device)
    while True:
        try:
            pipe.send(member.do(*pipe.recv()))
        except EOFError:
            return


class ForkedMember(Member):
    def __init__(self, index: int, size: int, device: str, environment: Mapping[str, str]):
        self._pipe, there = CONTEXT.Pipe()
        self.process = start(serve, there, index, size, device, dict(environment))
        there.close()

    def ask(self, command: str, given: str) -> None:
        self._pipe.send((command, given))

    def answer(self) -> Answer | None:
        if self._pipe.poll():
            try:
                answer: Answer = self._pipe.recv()
                return answer
            except EOFError:
                self.process.join()
        return None if self.process.is_alive() else Answer("lost", f"exit code {self.process.exitcode}")

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self._pipe.close()


class ForkedGroup(LocalGroup):
    """A `LocalGroup` whose processes begin in a moment."""

    def __init__(self, size: int, **environment: str):
        super().__init__(size)
        self._environment = environment

    def _begun(self, device: str) -> list[Member]:
        return [ForkedMember(index, self.size, device, self._environment) for index in range(self.size)]


def train_and_tell(index: int, size: int, meeting: str, answer: Path) -> None:
    """Train a network with others for an epoch; write its state's digest, and that of the images seen."""
    torch.set_num_threads(1)
    GroupMember(index, size, "cpu").do("join", meeting)
    network = build_network(TASK, seed=index)  # the first's weights count
    seen: list[Tensor] = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    data, plan = load_data(TASK), StepPlan(TRAINING, 0, 17, 17, share=Share(index, size))
    train(network, make(network, TRAINING), data.train, cross_entropy, plan, 0, 17, torch.device("cpu"))
    mask = torch.arange(24).view(2, 3, 2, 2) + index
    if not index:
        mask = mask.to(memory_format=torch.channels_last)
    as_first([mask], Share(index, size))
    told = {"state": _digest((*network.state_dict().values(), mask)), "seen": _digest(seen)}
    answer.write_text(json.dumps(told))


def join_and_tell(index: int, meeting: str, answer: Path) -> None:
    """Join another process; write what came of it and over which interface they speak."""
    joined = GroupMember(index, 2, "cpu").do("join", meeting)
    answer.write_text(f"{joined.outcome} {os.environ.get('GLOO_SOCKET_IFNAME')}")


def gradient_of_share(index: int, meeting: str, batch: tuple[Tensor, Tensor], answer: Path) -> None:
    """Write the gradient of half a batch's scores, as two processes average it."""
    GroupMember(index, 2, "cpu").do("join", meeting)
    share = Share(index, 2)
    part = share.part(len(batch[1]), len(batch[1]))
    scores, labels = batch[0][part.rows].clone().requires_grad_(), batch[1][part.rows]
    loss = partial(cross_entropy, label_smoothing=0.1)
    of_part(loss, share, part, lambda labels: (labels != -100).sum())(scores, labels).backward()
    torch.save(scores.grad, answer)


def _digest(tensors: Iterable[Tensor]) -> str:
    hasher = hashlib.sha256()
    for tensor in tensors:
        hasher.update(tensor.detach().contiguous().numpy().tobytes())
    return hasher.hexdigest()
