"""The command in this very process, in a folder of its own; no run of W&B."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweeps import StudyRecord
from sweeps.cli import _exit_code
from tests.sweeps.commands import Answer
from tests.sweeps.studies import digits, run


@pytest.fixture(scope="session", autouse=True)
def without_wandb() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        yield


@pytest.fixture
def tombola(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Answer:
        capsys.readouterr()
        exit_code = _exit_code(list(arguments))
        printed = capsys.readouterr()
        return Answer(exit_code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """A study of three trials, the second of which failed, and of a baseline; to be looked at, or copied."""
    parameters = {"task.network_options.hidden": {"values": [16, 24, 32]}}
    task = {"network": "tests.sweeps.users:fails_in_training", "data": "digits"}
    return run(
        digits(name="finished", task=task, method="grid", parameters=parameters, run_cap=3),
        tmp_path_factory.mktemp("s") / "finished",
    )
