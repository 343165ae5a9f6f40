"""Every wrong command and every broken study gets its sentence and exit code; the disk stays as it was."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

from sweeps import StudyRecord
from tests.sweeps.bad_sweeps import SWEEP
from tests.sweeps.commands import Answer, after_first_words, assert_short, contents

Tombola = Callable[..., Answer]
PLAN = "plan --model lenet_300_100 "
RUN = "run s.yaml --in-process "
WITHOUT = r"--in-process runs the trials without Ray, one by one\."
LOST = (
    r'study: holds trials of the study "finished", and journal.log does not\. '
    r"Give back the one it was run with, or another folder \(--out\)\."
)


@dataclass(frozen=True)
class Bad:
    """A command, a pattern for its whole message, and its exit code.

    ``breaks`` says how the study in ``study`` is broken before.
    """

    command: str
    said: str
    exit_code: int = 2
    breaks: Callable[[Path], object] = lambda study: None


def cut(name: str) -> Callable[[Path], object]:
    return lambda study: (study / name).unlink()


def overwrite(name: str, text: str) -> Callable[[Path], object]:
    return lambda study: (study / name).write_text(text)


def garble_the_journal(study: Path) -> None:
    lines = (study / "journal.log").read_text().splitlines(keepends=True)
    (study / "journal.log").write_text("".join([*lines[:3], lines[3][:7] + "\n", *lines[4:]]))


def elsewhere(study: Path) -> None:
    """A database that knows nothing of the study, whose sweep says that it lives there."""
    optuna.create_study(study_name="another", storage=f"sqlite:///{study}/other.db")


USAGE = [
    Bad("runn s.yaml", r"There is no command \"runn\"; did you mean 'run'\? \(tombola --help tells more\.\)"),
    Bad("run", r"Missing argument 'SWEEP\.yaml'\. \(tombola run --help tells more\.\)"),
    Bad(
        RUN + "--trials 0",
        r"Invalid value for '--trials': 0 is not in the range x>=1\. \(tombola run --help tells more\.\)",
    ),
    Bad(
        RUN + "--trials many",
        r"Invalid value for '--trials': 'many' is not a valid integer range\. \(tombola run .*\)",
    ),
    Bad(RUN + "--seed -1", r"Invalid value for '--seed': -1 is not in the range x>=0\. \(tombola run .*\)"),
    Bad(
        RUN + "--trails 3",
        r"No such option '--trails'\. Did you mean '--trials'\? \(tombola run --help tells more\.\)",
    ),
    *(
        Bad(
            command,
            r"storage\.study: its password would be kept on the cluster, where all .* ~/\.pgpass\.",
        )
        for command in (
            "run s.yaml --detach --storage postgresql://me:secret@host/studies",
            "run s.yaml --address 127.0.0.1:9 --set storage.study=postgresql://host/studies?password=secret",
            "run s.yaml --cluster c.yaml --storage postgresql://me:secret@host/studies",
            'resume study --detach --set storage={"study":"postgresql://me:secret@host/studies"}',
            "resume study --cluster c.yaml --storage postgresql://me:secret@host/studies",
        )
    ),
    Bad(RUN + "again", r"Got unexpected extra argument \(again\) \(tombola run --help tells more\.\)"),
    Bad("validate nosuch.yaml", r"nosuch\.yaml: no such file\."),
    Bad("run nosuch.yaml", r"nosuch\.yaml: no such file\."),
    Bad("validate study", r"study is a folder, not a sweep file\."),
    Bad("run binary", r"binary: cannot be read: .*invalid start byte\."),
    Bad(
        RUN + "--out s.yaml",
        r"Invalid value for '--out': Directory 's\.yaml' is a file\. \(tombola run --help tells more\.\)",
    ),
    Bad(RUN + "--set foo", r"--set foo: expected key=value, as in --set training\.epochs=5\."),
    Bad(
        RUN + "--set traning.lr=1", r"--set traning\.lr=1: unknown key \"traning\"; did you mean 'training'\?"
    ),
    Bad(RUN + "--set training.lr=[", r"--set: cannot read the value '\[': expected the node content, .*\."),
    Bad(
        RUN + "--trials 99999999999999999999",
        r"--set run_cap=9{20}: run_cap: should be less than or equal to 2147483647\.",
    ),
    Bad(
        RUN + "--set run_cap=1e30",
        r"--set run_cap=1e30: run_cap: should be less than or equal to 2147483647\.",
    ),
    Bad(
        RUN + "--set budget.keep_ratio=true",
        r"--set budget.keep_ratio=true: budget\.keep_ratio: should be a number, not True\.",
    ),
    Bad(
        RUN + "--set training.momentum='0.9'",
        r"--set .*: training\.momentum: should be a number, not '0\.9'\.",
    ),
    Bad("validate s.yaml --set sampler_options=&a[*a]", r"--set: cannot read the value .*\."),
    Bad(
        RUN + "--set training.epochs=-1",
        r"--set training\.epochs=-1: training\.epochs: should be greater than or equal to 0\.",
    ),
    Bad(RUN + "--set name.first=x", r'"name\.first" cannot be set: "name" holds a value, not keys\.'),
    Bad(
        "run s.yaml --in-process --address auto",
        r"--address runs trials on a Ray cluster and --in-process without one; give one of them\.",
    ),
]

PLANS = [
    Bad("plan --keep-ratio .2", r"Missing option '--model'\. \(tombola plan --help tells more\.\)"),
    Bad(
        "plan --model torchvision:resnet81 --keep-ratio .2",
        r"torchvision has no classifier or segmentation network 'resnet81'; did you mean resnet18\?",
    ),
    Bad(
        "plan --model tests.sweeps.users:raises --keep-ratio .2",
        r"network factory .*:raises raised RuntimeError: no GPU today\.",
    ),
    Bad(
        PLAN,
        r"Give exactly one of keep_ratio, budget, flops_ratio, latency_ratio and latency_ms, "
        r"not none of them\.",
    ),
    Bad(PLAN + "--keep-ratio 2", r"keep_ratio must lie above 0 and at most at 1, not 2\.0\."),
    Bad(
        PLAN + "--keep-ratio .2 --budget 5000",
        r"Give exactly one of keep_ratio, budget, flops_ratio, latency_ratio and latency_ms, "
        r"not keep_ratio and budget\.",
    ),
    Bad(
        PLAN + "--keep-ratio .00001",
        "A budget of 10 parameters cannot be met: "
        r"the least possible is 4872 of 1051600 \(keep_ratio=0\.00463294\)\.",
        exit_code=3,
    ),
    Bad(PLAN + "--keep-ratio .2 --metric maxx", r"metric 'maxx' is unknown; did you mean 'max'\?"),
    Bad(PLAN + "--keep-ratio .2 --method svdd", r"There is no method 'svdd'; did you mean 'svd'\?"),
    Bad(
        PLAN + "--keep-ratio .2 --method svd --metric max",
        r"svd has no option 'metric'; known are exclude, rank_multiple, folding, refit, ridge, encoders\.",
    ),
    Bad(
        PLAN + "--keep-ratio .2 --method calibrated",
        r"Method calibrated needs --data, the images that it chooses by\.",
    ),
    Bad(PLAN + "--keep-ratio .2 --data digitz", r"there is no data set 'digitz'; did you mean digits\?"),
    Bad(PLAN + "--keep-ratio .2 --input 3,x", r"--input 3,x: expected whole numbers, as in 3,224,224\."),
    Bad(PLAN + "--keep-ratio .2 --input 3,0", r"--input 3,0: every side must be at least 1\."),
    Bad(
        PLAN + "--keep-ratio .2 --classes 0",
        r"Invalid value for '--classes': 0 is not in the range x>=1\. \(tombola plan .*\)",
    ),
    Bad(PLAN + "--keep-ratio .2 --checkpoint nosuch.pt", r"there is no checkpoint nosuch\.pt\."),
]

STUDIES = [
    *(
        Bad(f"{command} nosuch", r"nosuch: no such study directory\.")
        for command in ("status", "resume", "report", "export --to x")
    ),
    Bad("status empty", r"empty: holds no study \(study\.json is missing\)\."),
    Bad(
        "resume study --in-process",
        r"study: holds no study \(study\.json is missing\)\.",
        breaks=cut("study.json"),
    ),
    Bad(
        "status study",
        r"study/study\.json: damaged \(.*\); the trials and the journal beside it are untouched\.",
        1,
        overwrite("study.json", "{"),
    ),
    Bad(
        "status study",
        r"study/study\.json: damaged \('objectives'\); .* untouched\.",
        1,
        overwrite("study.json", '{"name": "finished"}'),
    ),
    Bad(
        "status study",
        r"study/study\.json: damaged \('storage'\); .* untouched\.",
        1,
        lambda study: (study / "study.json").write_text(
            (study / "study.json").read_text().replace('"storage"', '"storagf"')
        ),
    ),
    Bad(
        "resume study --in-process",
        r"study/study\.json: damaged \(.*\); .* untouched\.",
        1,
        overwrite("study.json", "[]"),
    ),
    Bad("status study", r"study: the study's journal \(journal\.log\) is missing\.", 1, cut("journal.log")),
    Bad("resume study --in-process", LOST, 1, cut("journal.log")),
    Bad("resume study --in-process", LOST, 1, overwrite("journal.log", "")),
    Bad(
        "resume study --in-process --storage sqlite:///study/other.db",
        LOST.replace("journal.log", "sqlite:.*"),
        1,
        elsewhere,
    ),
    Bad(
        "status study",
        r"study/journal\.log: the journal is damaged and cannot be read: .*\.",
        1,
        garble_the_journal,
    ),
    Bad(
        "resume study --in-process",
        r"study/journal\.log: the journal is damaged and cannot be read: .*\.",
        1,
        garble_the_journal,
    ),
    Bad("status study", r'study: the storage holds no study "finished"\.', 1, overwrite("journal.log", "")),
    Bad("status study", r"study/sweep\.yaml: no such file\.", 2, cut("sweep.yaml")),
    Bad(
        "resume study --in-process",
        r"study/sweep\.yaml:1: not valid YAML: .*\.",
        2,
        overwrite("sweep.yaml", "a: ["),
    ),
    Bad(
        "status study",
        r"study/test\.json: damaged \(.*\); delete it to have the test split read again\.",
        1,
        overwrite("test.json", "{"),
    ),
    Bad(
        "run s.yaml --in-process --out study",
        r'study: holds a study of another sweep: "budget\.keep_ratio" differs\. '
        r"Give --out another folder, or set it back to go on with that study\.",
        breaks=lambda study: (study / "sweep.yaml").write_text(
            (study / "sweep.yaml").read_text().replace("0.25", "0.3").replace("finished", "base")
        ),
    ),
    Bad(
        RUN + "--out study",
        r'study: holds a study of another sweep: "compression\.recalibrate_bn" differs\. .*',
    ),
    Bad(
        "resume study --in-process --set resources.processes=2",
        r'study: holds a study of another sweep: "resources\.processes" differs\. .*',
    ),
    Bad(
        "run s.yaml --in-process --out study",
        r'study: holds a study of another sweep: "compression\.recalibrate_bn" differs\. .*',
        breaks=cut("study.json"),
    ),
    Bad("export study --trial 7 --to new", r"study: there is no trial 7; the last is 2\."),
    Bad("export study --trial best --to new", r"study: there is no trial best; the last is 2\."),
    Bad(
        "export study --trial FAILED --to new",
        r"Trial \d is not complete but failed: it has no network to export\.",
    ),
    Bad("export study --to study/best", r"study/best exists already; give --to a new folder\."),
    Bad(
        "export study --trial OTHER --to new",
        r"Trial \d left no network \(study/trials/\d/network/seed-0 is missing\)\.",
        1,
        lambda study: [shutil.rmtree(n) for n in study.glob("trials/*/network")],
    ),
    Bad(
        "export study --trial OTHER --to new",
        r"Trial \d left no network \(study/trials/\d/result\.json is missing or damaged\)\.",
        1,
        lambda study: [r.write_text("{") for r in study.glob("trials/*/result.json")],
    ),
    Bad("export study", r"Missing option '--to'\. \(tombola export --help tells more\.\)"),
]

SURROUNDINGS = [
    Bad(
        RUN + "--storage nonsense",
        r"storage\.study: 'nonsense' is no database URL, "
        r"as sqlite:///study\.db, postgresql\+psycopg://user@host/name or grpc://host:13000\.",
    ),
    Bad(
        RUN + "--storage postgresql+psycopg://u@host:port/x",
        r"storage\.study: 'postgresql.*' is no database URL, as .*\.",
    ),
    Bad(
        RUN + "--storage nosuch://h/x",
        r"storage\.study: nosuch://h/x names a database that SQLAlchemy does not know: .*\.",
    ),
    Bad(
        RUN + "--storage mysql://h/x",
        r"storage\.study: mysql://h/x needs a driver that is not installed; "
        r"tombola\[postgresql\] holds PostgreSQL's\.",
    ),
    Bad(
        RUN + "--storage postgresql+psycopg://u:secret@127.0.0.1:1/x",
        r"The study's database postgresql\+psycopg://u@127\.0\.0\.1:1/x cannot be used: "
        r"connection .* refused.*\.",
        exit_code=1,
    ),
    Bad(
        RUN + "--storage sqlite:////nosuch/folder/study.db",
        r"The study's database .* cannot be used: unable to open database file\.",
        1,
    ),
    Bad(
        "run s.yaml --address 127.0.0.1:1",
        rf"--address 127\.0\.0\.1:1: no Ray cluster answers .* refused\. {WITHOUT}",
        1,
    ),
    Bad(
        "run s.yaml --address nonsense:port",
        rf"--address nonsense:port: no Ray cluster answers there: .*\. {WITHOUT}",
        1,
    ),
]


@pytest.fixture
def surroundings(tombola: Tombola, finished: StudyRecord) -> StudyRecord:
    """In the command's folder: the sweep s.yaml, a finished study, an empty folder, a file not of text."""
    Path("s.yaml").write_text(SWEEP)
    Path("binary").write_bytes(b"\xff\xfe\x00")
    Path("empty").mkdir()
    shutil.copytree(finished.directory, "study")
    provenance = json.loads(Path("study/study.json").read_text())
    Path("study/study.json").write_text(
        json.dumps(provenance | {"git_commit": None}, indent=1)
    )  # here is no repository
    return finished


def refused(tombola: Tombola, bad: Bad, finished: StudyRecord) -> dict[str, bytes | None]:
    """Break the study, give the command, check its answer and that no file is lost; return the new files."""
    keys = {t.outcome: t.key for t in finished.trials}
    bad.breaks(Path("study"))
    before = contents(Path())
    answer = tombola(
        *bad.command.replace("FAILED", keys["failed"]).replace("OTHER", keys["complete"]).split()
    )
    assert re.fullmatch(f"tombola: {bad.said}\n", answer.stderr), answer.stderr
    assert (answer.exit_code, after_first_words(answer.stdout)) == (bad.exit_code, [])
    assert_short(answer.stderr)
    after = contents(Path())
    assert {name: after.get(name) for name in before} == before
    return {name: after[name] for name in after.keys() - before.keys()}


@pytest.mark.parametrize("bad", [*USAGE, *PLANS, *STUDIES], ids=lambda bad: bad.command)
def test_a_wrong_command_is_refused_and_writes_nothing(
    tombola: Tombola, surroundings: StudyRecord, bad: Bad
) -> None:
    new = refused(tombola, bad, surroundings)
    assert not [name for name in new if not name.endswith("driver.lock")]


@pytest.mark.parametrize("bad", SURROUNDINGS, ids=lambda bad: bad.command)
def test_what_is_out_of_reach_is_said_and_the_study_can_be_run_afterwards(
    tombola: Tombola, surroundings: StudyRecord, bad: Bad
) -> None:
    new = refused(tombola, bad, surroundings)
    assert not [name for name, content in new.items() if b"secret" in (content or b"")]
    assert tombola(*RUN.split()).exit_code == 0


def test_ray_that_cannot_be_started_is_explained(
    tombola: Tombola, surroundings: StudyRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("deep" * 30)))  # sockets cannot lie so deep
    said = (
        r"Ray cannot be started on this machine: "
        rf"validate_socket_filename failed: AF_UNIX path length .*\. {WITHOUT}"
    )
    refused(tombola, Bad("run s.yaml", said, 1), surroundings)
    assert tombola(*RUN.split()).exit_code == 0


def test_a_wrong_mode_of_wandb_is_said(
    tombola: Tombola, surroundings: StudyRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offlin")
    refused(
        tombola, Bad(RUN, r"WANDB_MODE is 'offlin'; it must be online, offline or disabled\."), surroundings
    )


def test_a_study_that_is_run_by_another_driver_is_refused(
    tombola: Tombola, surroundings: StudyRecord
) -> None:
    code = (
        "import fcntl; f = open('study/driver.lock', 'r+'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        said = r"study: this study is already being run by .*\. Wait for it, or stop it first\."
        refused(tombola, Bad("resume study --in-process --trials 9", said, 1), surroundings)
        other.communicate("\n")


@pytest.mark.parametrize("bad", [USAGE[0], STUDIES[0], PLANS[3]], ids=lambda bad: bad.command)
def test_the_command_itself_answers_the_same(tmp_path: Path, bad: Bad) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "tombola", *bad.command.split()]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert re.fullmatch(f"tombola: {bad.said}\n", answer.stderr), answer.stderr
    assert (answer.returncode, after_first_words(answer.stdout)) == (bad.exit_code, [])
    assert contents(tmp_path) == {}


def test_debug_shows_where_an_error_comes_from(tombola: Tombola) -> None:
    answer = tombola("--debug", "validate", "nosuch.yaml")
    assert answer.exit_code == 2
    assert answer.stderr.startswith("Traceback") and answer.stderr.endswith(
        "tombola: nosuch.yaml: no such file.\n"
    )
