"""`tombola report` writes figures and trials as files, or says in a sentence what is missing."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from sweeps import StudyRecord
from sweeps.cli import cli
from sweeps.errors import SweepError
from sweeps.report.page import charts
from tests.sweeps.studies import digits, run

from .chromium import CHROMIUM
from .test_report_in_hand import assert_equals_the_study

NEEDS_BROWSER = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing")


@pytest.fixture(scope="module")
def study(without_wandb: None, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    tolerance = {"tolerance": {"min": 0.5, "max": 2}}
    sweep = digits(budget={"keep_ratio": 0.1}, per_layer=tolerance, baselines=["svd"])
    return run(sweep, tmp_path_factory.mktemp("s") / "files")


@NEEDS_BROWSER
def test_every_figure_is_a_png_and_a_valid_svg(study: StudyRecord, tmp_path: Path) -> None:
    answer = CliRunner().invoke(cli, ["report", str(study.directory), "--figures", str(tmp_path / "figures")])
    assert answer.exit_code == 0, answer.output
    wanted = {chart.anchor.replace("/", "-") for chart in charts(study) if chart.figure}
    files = {file.name: file for file in (tmp_path / "figures").iterdir()}
    assert set(files) == {f"{name}.{form}" for name in wanted for form in ("png", "svg")}
    assert set(answer.stdout.splitlines()[1:]) == {str(file) for file in files.values()}
    for name, file in files.items():
        if name.endswith(".png"):
            assert file.read_bytes().startswith(b"\x89PNG\r\n")
        else:
            assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_the_trials_as_csv_equal_the_study(study: StudyRecord, tmp_path: Path) -> None:
    table = tmp_path / "new" / "trials.csv"
    answer = CliRunner().invoke(cli, ["report", str(study.directory), "--csv", str(table)])
    assert answer.stdout.splitlines() == [str(study.directory / "report.html"), str(table)]
    assert_equals_the_study(table.read_text(encoding="utf-8"), study)


@pytest.mark.parametrize("missing", ["kaleido", "a browser", "one that starts"])
def test_what_is_missing_is_said_in_a_sentence(
    missing: str, study: StudyRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "kaleido":
        monkeypatch.setitem(sys.modules, "kaleido", None)  # as Python does for a package that is not there
    else:
        program = tmp_path / "chromium"
        if missing == "one that starts":
            program.write_text("#!/bin/sh\nexit 3\n")
            program.chmod(0o755)
        monkeypatch.setenv("BROWSER_PATH", str(program))
    answer = CliRunner().invoke(cli, ["report", str(study.directory), "--figures", str(tmp_path / "figures")])
    assert isinstance(answer.exception, SweepError) and answer.exception.exit_code == 1
    said = str(answer.exception)
    assert said.startswith("Figures as files are drawn by ") and said.endswith(".") and "\n" not in said


def test_a_clusters_study_has_buttons_instead(study: StudyRecord, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("cluster_name: c\n")
    given = ["report", "digits", "--cluster", str(tmp_path / "cluster.yaml"), "--csv", "t.csv"]
    answer = CliRunner().invoke(cli, given)
    assert answer.exit_code == 2 and "buttons for figures and trials" in answer.stderr
