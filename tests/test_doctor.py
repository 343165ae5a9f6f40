import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import wandb

from sweeps.commands.texts import diagnosis

PROJECT = Path(__file__).parents[1]


def run(code: str, *folders: Path, cwd: Path) -> str:
    """What ``code`` prints in a fresh interpreter that finds packages in ``folders`` before the project's."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*folders, PROJECT)))}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def claim(folder: Path, name: str, version: str) -> None:
    """Lay into ``folder`` what an installer writes about a package; the package stays as it is."""
    (folder / f"{name}-{version}.dist-info").mkdir()
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    )


def broken_package(folder: Path, name: str, error: str) -> None:
    """Lay a package into ``folder`` that raises ``error`` when it is imported."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(f"raise {error}\n")


def command(
    *folders: Path, cwd: Path, words: Sequence[str] = ("doctor",)
) -> subprocess.CompletedProcess[str]:
    """A ``tombola`` command with packages from ``folders`` first, the project after them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*folders, PROJECT)))}
    environment["PYTHONSAFEPATH"] = "1"  # the installed command does not look beside itself first either
    arguments = [sys.executable, str(PROJECT / "tombola.py"), *words]
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def test_everything_is_looked_at_and_every_trouble_has_a_remedy() -> None:
    findings = {finding.name: finding for finding in diagnosis.diagnose()}
    expected = {
        "Python",
        "torch",
        "torchvision",
        "ray",
        "optuna",
        "wandb",
        "torch with torchvision",
        "GPUs",
        "package sweeps",
        "W&B",
        "disk",
    }
    assert expected <= set(findings)
    assert all(finding.sentence.endswith(".") for finding in findings.values())
    assert all(finding.mend for finding in findings.values() if not finding.ok)
    for name in (
        "Python",
        "torch",
        "torchvision",
        "ray",
        "optuna",
        "wandb",
        "torch with torchvision",
        "package sweeps",
    ):
        assert findings[name].ok, findings[name]


def test_a_package_that_is_too_old_is_named(tmp_path: Path) -> None:
    claim(tmp_path, "optuna", "3.6.1")
    code = (
        "from sweeps.commands.texts.diagnosis import packages; "
        "print([found.sentence for found in packages() if not found.ok])"
    )
    assert run(code, tmp_path, cwd=tmp_path).strip() == "['3.6.1, but >=5.0 is needed.']"


def test_a_torchvision_of_another_torch_is_found_out(tmp_path: Path) -> None:
    broken_package(tmp_path, "torchvision", "RuntimeError('operator torchvision::nms does not exist')")
    code = "from sweeps.commands.texts import diagnosis; print(diagnosis.torchvision_fits_torch())"
    said = run(code, tmp_path, cwd=tmp_path)
    assert "ok=False" in said
    assert "operator torchvision::nms does not exist" in said
    assert "same index" in said


def test_pypis_sweeps_is_found_out(tmp_path: Path) -> None:
    claim(tmp_path, "sweeps", "0.3.0")
    said = run(
        "from sweeps.commands.texts import diagnosis; print(diagnosis.sweeps_is_ours())",
        tmp_path,
        cwd=tmp_path,
    )
    assert "ok=False" in said
    assert "pip uninstall sweeps" in said


def test_the_command_works_where_pypis_sweeps_would_hide_ours(tmp_path: Path) -> None:
    claim(tmp_path, "sweeps", "0.3.0")
    broken_package(tmp_path, "sweeps", "ImportError('it needs its own libraries')")
    result = command(tmp_path, cwd=tmp_path, words=("methods",))
    assert result.returncode == 0, result.stderr
    assert "pip uninstall sweeps" in command(tmp_path, cwd=tmp_path).stdout


def test_the_command_says_in_one_line_that_pypis_sweeps_overwrote_ours(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "tombola.py", tmp_path)
    for name in ("pruners", "trainables"):
        (tmp_path / name).symlink_to(PROJECT / name)
    claim(tmp_path, "sweeps", "0.3.0")
    broken_package(tmp_path, "sweeps", "ImportError('it needs its own libraries')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    result = subprocess.run(
        [sys.executable, tmp_path / "tombola.py", "doctor"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("tombola: PyPI's package sweeps 0.3.0")
    assert "pip uninstall sweeps" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_command_says_in_one_line_that_a_package_is_broken(tmp_path: Path) -> None:
    broken_package(tmp_path, "optuna", "ImportError('libssl.so.9: cannot open shared object file')")
    result = command(tmp_path, cwd=tmp_path, words=("status", "."))
    assert result.returncode == 2
    assert result.stderr.startswith("tombola: The installation is broken (libssl.so.9")
    assert len(result.stderr.splitlines()) == 1
    assert "MEND  optuna: " in (found := command(tmp_path, cwd=tmp_path)).stdout
    assert found.returncode == 1 and "cannot be imported: libssl.so.9" in found.stdout


@pytest.mark.parametrize(
    ("mode", "ok", "words"),
    [
        ("offline", True, "wandb sync"),
        ("online", True, "to the server"),
        ("disabled", True, "Nothing"),
        ("nonsense", False, "nonsense"),
    ],
)
def test_where_wandbs_runs_go(monkeypatch: pytest.MonkeyPatch, mode: str, ok: bool, words: str) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)  # online needs one
    wandb.teardown()  # wandb reads its environment once, and an earlier test may have had it do so
    finding = diagnosis.wandb_mode()
    assert finding.ok is ok
    assert words in finding.sentence


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    assert diagnosis.free_disk(tmp_path, enough=0).ok
    assert not diagnosis.free_disk(tmp_path, enough=10**18).ok


def test_rays_folder_must_be_writable_and_not_full(tmp_path: Path) -> None:
    assert diagnosis.ray_temporary_folder(tmp_path, full=1.1).ok
    assert not diagnosis.ray_temporary_folder(tmp_path, full=0.0).ok
    unwritable = diagnosis.ray_temporary_folder(Path("/proc/sys"), full=1.1)
    assert not unwritable.ok
    assert unwritable.sentence == "/proc/sys/ray is not writable."
    assert "RAY_TMPDIR" in unwritable.mend


def test_small_shared_memory_is_told(tmp_path: Path) -> None:
    assert diagnosis.shared_memory_size(tmp_path, enough=0).ok
    assert "--shm-size" in diagnosis.shared_memory_size(tmp_path, enough=10**18).mend
    assert not diagnosis.shared_memory_size(tmp_path, enough=10**18).ok
