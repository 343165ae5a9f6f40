import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = Path(__file__).parents[1]
FILES = ["requirements.txt", "requirements-test.txt", "requirements-cluster.txt"]


def pins(file: str) -> set[Requirement]:
    lines = (PROJECT / file).read_text().splitlines()
    return {Requirement(line) for line in lines if line and not line.lstrip().startswith("#")}


def declared() -> dict[str, list[str]]:
    """What pyproject.toml asks for, by the file that must pin it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    runtime, groups = project["project"]["dependencies"], project["dependency-groups"]
    return {
        "requirements.txt": runtime,
        "requirements-test.txt": runtime + groups["test"] + groups["check"],
        "requirements-cluster.txt": runtime + project["project"]["optional-dependencies"]["cluster"],
    }


@pytest.mark.parametrize("file", FILES)
def test_no_address_of_a_registry_and_no_path_of_a_machine(file: str) -> None:
    text = (PROJECT / file).read_text()
    assert not re.search(r"://|file:|(^|\s)/|--index|--find-links", text)


@pytest.mark.parametrize("file", FILES)
def test_one_exact_version_of_everything_asked_for(file: str) -> None:
    pinned = {requirement.name: requirement for requirement in pins(file)}
    for text in declared()[file]:
        wanted = Requirement(text)
        [pin] = pinned[wanted.name].specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(Version(pin.version)), (
            f"run `make requirements`: {text} is pinned to {pin.version}"
        )


@pytest.mark.parametrize("file", FILES[1:])
def test_the_other_files_share_the_runtime_pins(file: str) -> None:
    def versions(requirements: set[Requirement]) -> set[tuple[str, str]]:
        return {(requirement.name, str(requirement.specifier)) for requirement in requirements}

    assert versions(pins("requirements.txt")) <= versions(pins(file))
