"""What a reader's browser makes of the report: drawn, quiet, asking the network for nothing."""

from pathlib import Path
from typing import Any

import pytest

from sweeps.report import write_report
from sweeps.study.record import Objective, StudyRecord

from .chromium import Page
from .studies import OBJECTIVES, study_record

TWO_OBJECTIVES = (*OBJECTIVES, Objective("compress/flops_kept", "minimize"))
STUDIES: dict[str, dict[str, Any]] = {
    "one objective": {"replicates": 3},
    "two objectives": {"objectives": TWO_OBJECTIVES},
    "one trial": {"trials": 1},
    "no trial": {"trials": 0},
    "all failed": {"trials": 9, "failing": True},
    "four hundred": {"trials": 400},
}
DRAWN = """[...document.querySelectorAll('.chart')].map(
    chart => [chart.id, chart.querySelectorAll('svg path.point, svg .point path, svg .js-line').length])"""
COLUMN = "[...document.querySelectorAll('table.trials tbody tr')].map(row => row.cells[{}].innerText.trim())"
PRESS = "document.querySelectorAll('table.trials th button')[{}].click()"


@pytest.mark.parametrize(("study", "width"), [*((study, 1280) for study in STUDIES), ("two objectives", 380)])
def test_every_chart_is_drawn_without_a_request_or_a_complaint(
    study: str, width: int, page: Page, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    write_report(study_record(tmp_path, **STUDIES[study]), report)
    page.open(report, width=width)
    assert_drawn_in_silence(page, report, width, some=study != "no trial")


@pytest.mark.parametrize("width", [1280, 380])
@pytest.mark.parametrize(
    ("study", "sections"),
    [
        ("lottery", {"tickets", "early-stop", "stability", "stability-curves", "gradients", "layers"}),
        ("two_rewind_points", {"tickets", "all-tickets", "history"}),
        ("at_initialisation", {"methods", "controls", "method-layers", "gradients", "importance"}),
        ("without_dense", {"methods", "front-compress/params_kept", "layers"}),
    ],
)
def test_sparse_studies_are_drawn_too(
    study: str, sections: set[str], width: int, page: Page, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    write_report(request.getfixturevalue(study), report)
    page.open(report, width=width)
    assert_drawn_in_silence(page, report, width)
    assert sections <= set(page.run("Object.keys(figures)"))


def test_densities_fall_from_left_to_right(page: Page, lottery: StudyRecord, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    write_report(lottery, report)
    page.open(report, width=380)
    labels = page.run(
        "[...document.querySelectorAll('#tickets .xtick text')].map(t => [t.getBoundingClientRect().x, "
        "t.textContent])"
    )
    assert [text for _, text in sorted(labels)] == ["100", "40", "16", "6.4"]


def assert_drawn_in_silence(page: Page, report: Path, width: int, *, some: bool = True) -> None:
    drawn = dict(page.run(DRAWN))
    assert all(drawn.values()), drawn
    assert set(drawn) == set(page.run("Object.keys(figures)"))
    assert bool(drawn) == some
    assert {url for url in page.requests if not url.startswith("data:")} == {report.as_uri()}
    assert page.complaints == []
    assert page.run("document.documentElement.scrollWidth") <= width


def test_nothing_of_a_chart_is_cut_off_at_its_sides(page: Page, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    write_report(study_record(tmp_path, replicates=3), report)
    page.open(report, width=380)
    outside = page.run(
        """[...document.querySelectorAll('.chart')].flatMap(chart => {
            const frame = chart.getBoundingClientRect();
            return [...chart.querySelectorAll('svg text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.width && (box.left < frame.left - 1 || box.right > frame.right + 1);
            }).map(text => chart.id + ': ' + text.textContent);
        })"""
    )
    assert outside == []


def test_a_press_on_a_head_sorts_and_a_second_one_turns_round(page: Page, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    write_report(study_record(tmp_path), report)
    page.open(report)
    column = page.run(
        "[...document.querySelectorAll('table.trials th')].findIndex(head => "
        "head.innerText.startsWith('Validation'))"
    )

    for sign in (1, -1):
        page.run(PRESS.format(column))
        shown = page.run(COLUMN.format(column))
        values = [float(text) for text in shown if text != "–"]  # noqa: RUF001
        assert values == sorted(values, key=lambda value: sign * value)
        assert set(shown[len(values) :]) == {"–"}, "trials without a value come last"  # noqa: RUF001
    page.run(PRESS.format(0))
    assert page.run(COLUMN.format(0)) == [str(number) for number in range(24)], "trials are sorted as numbers"


def test_names_from_the_user_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    name = "</script><script>document.title = 'broken'</script><b>&amp;"
    write_report(study_record(tmp_path, trials=9, failing=True, name=name), report)
    page.open(report)
    assert page.run("document.querySelector('h1').innerText") == name
    assert page.run("document.title") == f"{name} · Tombola"
    assert "NaN in <epoch> 2" in page.run("document.querySelector('table.trials .failed small').innerText")
