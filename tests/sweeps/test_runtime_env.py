"""What is packed for workers that never saw the project."""

from pathlib import Path

import pytest

from sweeps import Sweep
from sweeps.running.on_ray.runtime_env import runtime_env
from tests.sweeps.studies import digits


@pytest.mark.parametrize(
    "layout", ["mine.py", "mine/__init__.py", "mine/nets.py"], ids=["module", "package", "namespace package"]
)
def test_the_users_code_is_packed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    (tmp_path / layout).parent.mkdir(exist_ok=True)
    (tmp_path / layout).write_text("def network(): ...")
    monkeypatch.syspath_prepend(tmp_path)
    module = layout.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    with runtime_env(Sweep.from_data(digits(task={"network": f"{module}:network", "data": "digits"}))) as env:
        packed = Path(env["working_dir"])
        assert (packed / layout).read_text() == "def network(): ..."
        assert {"pruners", "trainables", "sweeps"} <= {path.name for path in packed.iterdir()}


def test_what_the_environment_holds_is_not_packed() -> None:
    with runtime_env(Sweep.from_data(digits(task={"network": "torch.nn:Identity", "data": "digits"}))) as env:
        assert not (Path(env["working_dir"]) / "torch").exists()


def test_what_the_users_code_imports_is_packed_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "packed_net.py": "from packed_parts.block import block",
        "packed_parts/__init__.py": "",
        "packed_parts/block.py": "import packed_helper",
        "packed_helper.py": "",
        "packed_metric.py": "",
        "not_packed.py": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    task = {
        "network": "packed_net:network",
        "data": "digits",
        "metrics": ["accuracy", "packed_metric:metric"],
    }
    with runtime_env(Sweep.from_data(digits(task=task))) as env:
        packed = {
            path.relative_to(env["working_dir"]).as_posix()
            for path in Path(env["working_dir"]).glob("*pack*")
        }
    assert packed == {"packed_net.py", "packed_parts", "packed_helper.py", "packed_metric.py"}
