"""``import tombola``: its names, and that ours are found where a user's files have the same names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tombola

PROJECT = Path(__file__).parents[1]


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a script in ``folder`` does, with that folder first on Python's path."""
    (folder / "script.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    arguments = [sys.executable, folder / "script.py"]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)


def test_every_name_is_there() -> None:
    assert {name for name in tombola.__all__ if getattr(tombola, name) is None} == set()
    assert dir(tombola) == sorted(tombola.__all__)
    with pytest.raises(AttributeError, match="module 'tombola' has no attribute 'shrink'"):
        tombola.shrink  # noqa: B018


def test_a_file_and_a_folder_of_the_users_hide_nothing(tmp_path: Path) -> None:
    (tmp_path / "pruners.py").write_text("raise RuntimeError('mine')")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "__init__.py").write_text("raise RuntimeError('mine')")
    answer = python(
        "import torch, tombola\n"
        "network = torch.nn.Linear(64, 64)\n"
        "print(tombola.compress(network, 'svd', keep_ratio=.25).params, tombola.Sweep.__name__)",
        tmp_path,
    )
    assert answer.stdout.split() == ["1024", "Sweep"], answer.stderr


def test_one_that_was_imported_before_is_named(tmp_path: Path) -> None:
    (tmp_path / "pruners.py").write_text("")
    answer = python("import pruners, tombola\ntombola.compress", tmp_path)
    assert f"{tmp_path / 'pruners.py'} has the name of a package of Tombola's" in answer.stderr


def test_importing_it_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    answer = python(
        "import sys, tombola\nprint([m for m in ('torch', 'ray', 'optuna') if m in sys.modules])", tmp_path
    )
    assert answer.stdout.strip() == "[]", answer.stderr
