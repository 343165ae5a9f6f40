"""The report's figures as files for a paper."""

from pathlib import Path

from sweeps.errors import FAILED, SweepError
from sweeps.report.drawing.chart import Chart
from sweeps.report.drawing.six_digits import six_digits

_WIDTH = 900  # CSS pixels
_SCALE = 3  # of a PNG: 2,700 pixels across
_FORMATS = ("png", "svg")


def write_figures(charts: list[Chart], folder: Path) -> list[Path]:
    """Write each figure as ``<anchor>.png`` and ``<anchor>.svg`` on white into ``folder``; return the files.

    An installed Chrome or Chromium draws them. Raises `SweepError` without kaleido or a browser that starts.
    """
    try:
        import kaleido
        from kaleido.errors import BrowserClosedError, BrowserFailedError, ChromeNotFoundError
    except ImportError as error:
        raise SweepError(
            "Figures as files are drawn by kaleido, which is not installed: pip install 'tombola[figures]'.",
            FAILED,
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [
        (chart, form, folder / f"{chart.anchor.replace('/', '-')}.{form}")
        for chart in charts
        if chart.figure is not None
        for form in _FORMATS
    ]
    specs = [
        {
            "fig": _on_white(chart),
            "path": path,
            "opts": {"format": form, "width": _WIDTH, "scale": _SCALE if form == "png" else 1},
        }
        for chart, form, path in wanted
    ]
    try:
        # without mathjax=False it asks a server for a script that no label needs
        kaleido.write_fig_from_object_sync(specs, kopts={"mathjax": False})
    except ChromeNotFoundError as error:
        raise SweepError(
            "Figures as files are drawn by a Chrome or Chromium, and none is found here; "
            "BROWSER_PATH may name one.",
            FAILED,
        ) from error
    except (BrowserClosedError, BrowserFailedError) as error:
        raise SweepError(
            "Figures as files are drawn by a Chrome or Chromium, and the one that is here does not start.",
            FAILED,
        ) from error
    return [path for _, _, path in wanted]


def _on_white(chart: Chart) -> dict[str, object]:
    assert chart.figure is not None
    drawn = six_digits(chart.figure.to_plotly_json())
    return {**drawn, "layout": {**drawn["layout"], "paper_bgcolor": "#ffffff"}}
