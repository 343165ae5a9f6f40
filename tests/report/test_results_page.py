"""docs/results.md and its pictures, written from studies' folders."""

import re
from pathlib import Path

import pytest

from docs.results import write_page
from sweeps import StudyRecord, SweepError


@pytest.mark.usefixtures("browser")  # which says so where there is none
def test_the_page_says_what_the_studies_hold(
    lottery: StudyRecord, at_initialisation: StudyRecord, tmp_path: Path
) -> None:
    write_page([lottery.directory, at_initialisation.directory], tmp_path)
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert re.findall("^## (.*)$", page, re.MULTILINE) == ["tickets", "masks"]

    best = lottery.best
    assert best is not None
    for level in best.levels:
        assert f" {100 * level['tracks']['ticket']['val/accuracy']:.2f} ± " in page
    for trial in at_initialisation.complete:
        assert f" {100 * trial.metrics['val/accuracy']:.2f} ± " in page
    assert f"| Epochs trained | {best.metrics['epochs_trained']:g} |" in page
    machine = lottery.provenance["machine"]
    assert f"| Machine | {machine['processor']}, {machine['cores']} cores" in page
    assert f"torch {lottery.provenance['versions']['torch']}" in page
    assert "tombola run" in page

    shown = set(re.findall(r"\]\((images/\S+)\)", page))
    assert {"images/tickets-tickets.png", "images/masks-methods.png", "images/masks-controls.png"} <= shown
    for name in (*shown, "images/report.png"):
        head = (tmp_path / name).read_bytes()[:24]
        assert head.startswith(b"\x89PNG") and int.from_bytes(head[16:20]) > 600, name


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="nowhere: no such study"):
        write_page([tmp_path / "nowhere"], tmp_path)
