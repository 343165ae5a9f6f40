import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """What ``make setup`` reads of a fresh clone."""
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    return tmp_path


def make_setup(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")
    }
    command = ["make", "setup", f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def python_that_runs_first(folder: Path, code: str) -> str:
    """An interpreter that runs ``code`` before what it is told to."""
    script = folder / "strange_python"
    script.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "{code}; exec(__import__(\'sys\').argv[2])" "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def test_an_old_python_is_named_in_one_sentence(fresh: Path) -> None:
    old = python_that_runs_first(fresh, "import sys; sys.version_info = (3, 9, 2)")
    result = make_setup(fresh, old)
    assert result.returncode != 0
    assert result.stderr.splitlines()[0] == (
        f"Tombola needs Python 3.11 or newer and {old} is not: "
        "run make again with PYTHON=/path/to/python3.11."
    )
    assert not (fresh / ".venv").exists()


def test_a_python_without_pip_for_environments_is_named_in_one_sentence(fresh: Path) -> None:
    result = make_setup(fresh, python_that_runs_first(fresh, "import sys; sys.modules['ensurepip'] = None"))
    assert result.returncode != 0
    assert "apt-get install python3-venv" in result.stderr.splitlines()[0]
    assert not (fresh / ".venv").exists()


def test_what_is_set_up_is_not_set_up_again_until_the_requirements_change(fresh: Path) -> None:
    (fresh / ".venv" / "bin").mkdir(parents=True)
    (fresh / ".venv" / "bin" / "uv").write_text("#!/bin/sh\necho installing\n")
    (fresh / ".venv" / "bin" / "uv").chmod(0o755)
    assert "installing" in make_setup(fresh, sys.executable).stdout
    assert "installing" not in make_setup(fresh, sys.executable).stdout
    stamp = (fresh / ".venv" / ".runtime-installed").stat().st_mtime
    os.utime(fresh / "requirements.txt", (stamp + 1, stamp + 1))
    assert "installing" in make_setup(fresh, sys.executable).stdout
