"""A study in a real PostgreSQL database."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import optuna
import pytest

import sweeps
from tests.sweeps.commands import Answer, contents
from tests.sweeps.studies import digits

Tombola = Callable[..., Answer]


@pytest.fixture
def sweep(tombola: Tombola, request: pytest.FixtureRequest) -> str:
    """A sweep file whose study no other test has."""
    name: str = request.node.name
    data = digits(name=name, parameters={"budget.keep_ratio": {"min": 0.1, "max": 0.9}}, budget={})
    Path("s.yaml").write_text(json.dumps(data))
    return name


def test_a_study_in_a_database_is_run_and_goes_on(tombola: Tombola, postgresql: str, sweep: str) -> None:
    first = tombola("run", "s.yaml", "--in-process", "--storage", postgresql)
    assert first.exit_code == 0, first.stderr
    second = tombola("resume", f"runs/{sweep}", "--in-process", "--storage", postgresql, "--trials", "4")
    assert second.exit_code == 0, second.stderr
    study = optuna.load_study(study_name=sweep, storage=postgresql)
    assert [row.state.name for row in study.trials] == ["COMPLETE"] * 4
    record = sweeps.load_record(Path("runs") / sweep, postgresql)
    assert [t.values for t in record.trials] == [tuple(row.values) for row in study.trials]
    status = json.loads(tombola("status", f"runs/{sweep}", "--storage", postgresql, "--json").stdout)
    assert (status["complete"], status["target"]) == (4, 4)
    assert not (Path("runs") / sweep / "journal.log").exists()


def test_its_password_is_written_nowhere(tombola: Tombola, postgresql: str, sweep: str) -> None:
    answer = tombola("run", "s.yaml", "--in-process", "--storage", postgresql)
    password = urlsplit(postgresql).password
    assert answer.exit_code == 0 and password
    assert password not in answer.stdout + answer.stderr
    files = contents(Path())
    assert len(files) > 10
    assert not [name for name, content in files.items() if password.encode() in (content or b"")]
    without = json.loads((Path("runs") / sweep / "study.json").read_text())["storage"]
    assert without == postgresql.replace(f":{password}@", "@")
    refused = tombola("status", f"runs/{sweep}")
    assert refused.exit_code == 1 and refused.stderr.startswith(
        f"tombola: The study's database {without} cannot be used: "
    )


def test_a_second_directory_with_the_same_study_is_refused(
    tombola: Tombola, postgresql: str, sweep: str
) -> None:
    assert tombola("run", "s.yaml", "--in-process", "--storage", postgresql).exit_code == 0
    answer = tombola("run", "s.yaml", "--in-process", "--storage", postgresql, "--out", "other")
    owner = (Path("runs") / sweep).resolve()
    assert answer.stderr == (
        f'tombola: The database already holds a study "{sweep}", run from {owner}. '
        f"Go on there (tombola resume {owner}), or give this sweep another name.\n"
    )
    assert answer.exit_code == 2 and not Path("other/study.json").exists()


def test_a_directory_whose_study_is_in_another_database_is_refused(
    tombola: Tombola, postgresql: str, sweep: str
) -> None:
    assert tombola("run", "s.yaml", "--in-process", "--storage", postgresql).exit_code == 0
    before = contents(Path("runs"))
    answer = tombola(
        "resume", f"runs/{sweep}", "--in-process", "--storage", "sqlite:///other.db", "--trials", "4"
    )
    assert (
        answer.exit_code == 1
        and f'holds trials of the study "{sweep}", and sqlite:///{Path.cwd()}/other.db does not'
        in answer.stderr
    )
    assert {
        **contents(Path("runs")),
        f"runs/{sweep}/driver.lock": before[f"runs/{sweep}/driver.lock"],
    } == before
