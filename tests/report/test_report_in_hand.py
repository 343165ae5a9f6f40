"""What a reader does with the report: looks, hovers, zooms, prints, saves; in a real browser."""

import csv
import io
import re
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweeps.report import write_report
from sweeps.study.record import StudyRecord

from .chromium import Browser, Page
from .studies import study_record

IN_SIGHT = """[...document.querySelectorAll('.headline, .sure, .take')].map(part =>
    [part.className, part.innerText, part.getBoundingClientRect().bottom <= innerHeight])"""
BUTTON = "[...document.querySelectorAll('.save button')].find(button => {}).click()"
HISTORY = "document.getElementById('history')"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    return study_record(tmp_path_factory.mktemp("s") / "study", replicates=3)


@pytest.fixture(scope="module")
def report(record: StudyRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("r") / "report.html"
    write_report(record, path)
    return path


@pytest.fixture(scope="module")
def opened(browser: Browser, report: Path) -> Iterator[Page]:
    """The report as it opens; a test leaves it as it was."""
    with browser.page() as page:
        page.open(report)
        yield page
        assert page.complaints == []
        assert {u for u in page.requests if not u.startswith(("data:", "blob:"))} == {report.as_uri()}


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_the_first_screen_says_which_is_best_how_sure_that_is_and_how_to_get_it(
    width: int, height: int, page: Page, report: Path, record: StudyRecord
) -> None:
    page.open(report, width=width, height=height)
    assert record.best is not None
    parts = {name: (text, is_seen) for name, text, is_seen in page.run(IN_SIGHT)}
    assert all(is_seen for _, is_seen in parts.values()), parts
    assert f"trial {record.best.key}, reaches" in parts["headline"][0]
    sure = parts["sure"][0]
    assert "Against the method's own answer: +" in sure and "one standard error of the best" in sure
    take = parts["take"][0]
    assert f"trial {record.best.key}" in take and "tombola export" in take and "pruners.load" in take


def test_every_kind_of_figure_is_there(opened: Page) -> None:
    wanted = {"front-compress/params_kept", "history", "replicates", "importance", "parallel"}
    wanted |= {"layers", "layer-figures"}
    assert wanted <= set(opened.run("Object.keys(figures)"))
    assert opened.run("document.getElementById('failures').innerText").count("the loss became NaN") == 1


def test_a_pointer_shows_a_trial_and_a_drag_zooms(opened: Page, record: StudyRecord) -> None:
    opened.run(f"{HISTORY}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    x, y = opened.run(
        f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
        f"({HISTORY}.querySelector('.scatterlayer .points path').getBoundingClientRect())"
    )
    opened.move(x + 1, y + 1)
    label = wait_for(lambda: opened.run(f"{HISTORY}.querySelector('.hovertext')?.textContent"))
    assert "trial 0" in label and "Validation accuracy" in label
    before = opened.run(f"{HISTORY}.layout.xaxis.range")
    left, top, width, height = opened.run(
        f"(box => [box.x, box.y, box.width, box.height])"
        f"({HISTORY}.querySelector('.nsewdrag').getBoundingClientRect())"
    )
    opened.drag((left + 0.3 * width, top + 0.3 * height), (left + 0.6 * width, top + 0.7 * height))
    wait_for(lambda: opened.run(f"{HISTORY}.layout.xaxis.range") != before)
    low, high = opened.run(f"{HISTORY}.layout.xaxis.range")
    assert before[0] < low < high < before[1]
    opened.run("redraw(same)")
    assert opened.run(f"{HISTORY}.layout.xaxis.range") == before


def test_buttons_save_a_figure_as_png_and_svg_and_the_trials_as_csv(
    opened: Page, record: StudyRecord, tmp_path: Path
) -> None:
    opened.download_to(tmp_path)
    for form in ("PNG", "SVG"):
        beside = "button.closest('section').querySelector('#history')"
        opened.run(BUTTON.format(f"{beside} && button.innerText.endsWith('{form}')"))
    opened.run("document.getElementById('save-csv').click()")
    png, svg, table = (
        saved(tmp_path / f"alds_digits-{end}") for end in ("history.png", "history.svg", "trials.csv")
    )
    assert png.startswith(b"\x89PNG\r\n")
    drawn = ElementTree.fromstring(svg)
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    points = drawn.findall(".//*[@class='points']/{http://www.w3.org/2000/svg}path")
    assert len(points) >= len(record.complete)
    assert_equals_the_study(table.decode(), record)


def assert_equals_the_study(table: str, record: StudyRecord) -> None:
    lines = list(csv.DictReader(io.StringIO(table)))
    trials = (*record.trials, *record.baselines)
    assert [line["trial"] for line in lines] == [trial.key for trial in trials]
    for line, trial in zip(lines, trials, strict=True):
        assert line["outcome"] == trial.outcome and line["reason"] == (trial.reason or "")
        assert int(line["best"]) == (record.best is not None and trial.key == record.best.key)
        for name, value in (*trial.metrics.items(), *((f"param/{n}", v) for n, v in trial.params.items())):
            assert line[name] == str(value), "all digits: Python writes a number so that it is read back"
        if trial.values:
            assert float(line["val/accuracy"]) == trial.values[0]
        elif not trial.metrics:
            assert line["val/accuracy"] == ""


def test_the_dark_page_is_dark_and_saves_the_same_figure(opened: Page) -> None:
    light = opened.run("picture('history', 'svg')")
    title = f"getComputedStyle({HISTORY}.querySelector('.ytitle')).fill"
    before = opened.run(f"[getComputedStyle(document.body).backgroundColor, {title}]")
    opened.prefer("dark")
    try:
        wait_for(lambda: opened.run(title) != before[1])
        ground, ink = opened.run(f"[getComputedStyle(document.body).backgroundColor, {title}]")
        assert brightness(ground) < 0.2 < 0.5 < brightness(ink)
        assert brightness(before[0]) > 0.9 and brightness(before[1]) < 0.5
        assert without_ids(opened.run("picture('history', 'svg')")) == without_ids(light)
    finally:
        opened.prefer("light")
        wait_for(lambda: opened.run(title) == before[1])


def without_ids(picture: str) -> str:
    """The figure without the names that plotly draws by lot."""
    return re.sub(r"(trace|clip|defs-|topdefs-|legend|xy)[0-9a-f]{6}", r"\1", picture)


def brightness(color: str) -> float:
    parts = [float(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    return sum(parts) / 3 / 255


def test_on_paper_charts_are_light_and_no_wider_than_the_sheet(page: Page, report: Path) -> None:
    page.prefer("dark")
    page.open(report, width=1280)
    page.run("dispatchEvent(new Event('beforeprint'))")
    widths = "[...document.querySelectorAll('.chart .main-svg')].map(svg => svg.width.baseVal.value)"
    assert 0 < max(page.run(widths)) <= 660
    assert brightness(page.run(f"getComputedStyle({HISTORY}.querySelector('.ytitle')).fill")) < 0.5
    page.run("dispatchEvent(new Event('afterprint'))")
    wait_for(lambda: page.run(f"{HISTORY}.querySelector('.main-svg').width.baseVal.value") > 700)
    assert page.print().startswith(b"%PDF")
    assert page.complaints == []


def test_names_from_a_sweep_are_shown_as_text_in_every_figure(page: Page, tmp_path: Path) -> None:
    name = "<img src=x onerror=\"document.title='broken'\">"
    report = tmp_path / "report.html"
    write_report(study_record(tmp_path, replicates=2, layer=name), report)
    page.open(report)
    assert page.run("document.title") != "broken" and page.run("document.querySelectorAll('img').length") == 0
    assert page.complaints == [] and name in page.run("document.getElementById('trials').innerText")


def wait_for(found: Callable[[], object]) -> str:
    """What is looked for, once it is there."""
    deadline = time.monotonic() + 60
    while not (answer := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(answer)


def saved(path: Path) -> bytes:
    """The file, once the browser has finished it: it has another name until then."""
    wait_for(path.exists)
    return path.read_bytes()
