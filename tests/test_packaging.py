import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
FLOORS = ("pruners", "trainables", "sweeps")


def test_the_wheel_holds_every_file_of_the_three_floors(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "tombola.py"):
        shutil.copy(PROJECT / name, source)
    for floor in FLOORS:
        shutil.copytree(PROJECT / floor, source / floor, ignore=shutil.ignore_patterns("__pycache__"))
    expected = {
        str(path.relative_to(source))
        for floor in FLOORS
        for path in (source / floor).rglob("*")
        if path.is_file()
    }
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=source, check=True, timeout=120)
    [wheel] = tmp_path.glob("tombola-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert expected | {"tombola.py"} <= names
