"""A study as a notebook shows it: its record, with tables, figures and networks to take out."""

import html
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import pruners
import trainables
from sweeps.deployment.trial_sections import sections_of
from sweeps.errors import SweepError
from sweeps.running import driver
from sweeps.study import export
from sweeps.study.closing_table import closing_heads, closing_rows
from sweeps.study.load import load_record
from sweeps.study.record import StudyRecord
from sweeps.sweep_file.sweep import Sweep
from trainables.places.place import Place

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go
    from rich.console import Console
    from torch import nn

    from sweeps.report.drawing.chart import Chart


class Study(StudyRecord):
    """A study as it stands, with all that `StudyRecord` tells of it; `load` reads it anew.

    In a notebook it shows itself as `summary` and the table with which a run ends. Figures are plotly's,
    those of the report; `SweepError` says why one cannot be drawn.
    """

    @classmethod
    def load(cls, directory: Place | str, url: str | None = None) -> Self:
        """Load the study in ``directory``; ``url`` where its database needs a password.

        Raises `SweepError` where there is none or it is damaged.
        """
        return cls.of(load_record(directory, url))

    @classmethod
    def of(cls, record: StudyRecord) -> Self:
        """Show a record that was loaded before."""
        return cls(**{field.name: getattr(record, field.name) for field in fields(record)})

    def summary(self) -> str:
        """Say in one or two sentences what was found and how sure that is: the report's first ones."""
        from sweeps.report.headline import headline

        return headline(self)

    def trials_dataframe(self) -> "pandas.DataFrame":
        """Return trials and baselines as a table, with the rows and columns of the report's CSV file.

        Columns: ``trial``, ``outcome``, ``best`` and ``front`` (1 or 0), ``reason``, ``seconds``, objectives
        and metrics under their names (spreads over replicates end in ``_std``), parameters as
        ``param/<name>``.
        """
        import pandas

        from sweeps.report.trials_csv import trial_rows

        heads, rows = trial_rows(self)
        return pandas.DataFrame(rows, columns=heads)

    def plots(self) -> "dict[str, go.Figure]":
        """Return every figure of the report by its name there."""
        from sweeps.report.page import charts

        return {each.anchor: each.figure for each in charts(self) if each.figure is not None}

    def plot_front(self) -> "go.Figure":
        """Return quality against the parameters kept; where these are alike, multiply-adds or time."""
        from sweeps.report.charts.front import front_charts

        return _drawn(front_charts(self)[0])

    def plot_history(self) -> "go.Figure":
        """Return each trial's value in the order of the trials, and the best so far."""
        from sweeps.report.charts.history import history_chart

        return _drawn(history_chart(self))

    def plot_importance(self) -> "go.Figure":
        """Return which parameters the first objective depends on."""
        from sweeps.report.charts.importance import importance_charts, importances

        return _drawn(importance_charts(*importances(self))[0])

    def plot_layers(self) -> "go.Figure":
        """Return what was chosen for each layer of the best network."""
        from sweeps.report.charts.layers import layers_chart

        return _drawn(layers_chart(self))

    def network(self, trial: str | int | None = None) -> "nn.Module":
        """Build a trial's smaller network, its weights loaded, on the CPU in eval mode.

        ``trial`` is its number or a baseline's key, without it the best; of its replicates the best on
        validation is taken. Raises `SweepError` where it left no network, `TaskError` where the task's own
        network cannot be built here.
        """
        found = export.find(self, None if trial is None else str(trial))
        with TemporaryDirectory() as folder:
            export.export(self, found, Path(folder, "network"))
            artifact = pruners.load(Path(folder, "network"))
        task = sections_of(self, found).task
        small: nn.Module = artifact.apply(trainables.build_network(task)).eval()
        return small

    def __repr__(self) -> str:
        best = self.best
        values = dict(
            zip((o.name for o in self.objectives), (best.values or ()) if best else (), strict=False)
        )
        told = f"best: trial {best.key}, {values}" if best else "no best yet"
        return f"<Study {self.name!r}: {self.count('complete')} of {self.target} trials complete; {told}>"

    def _repr_html_(self) -> str:
        """Show what was found and the table with which a run ends."""
        import pandas

        table = pandas.DataFrame([row.cells for row in closing_rows(self)], columns=closing_heads(self))
        return f"<p>{html.escape(self.summary())}</p>{table.to_html(index=False)}"


def _drawn(chart: "Chart") -> "go.Figure":
    if chart.figure is None:
        raise SweepError(chart.caption)
    return chart.figure


def run(
    sweep: Sweep,
    out: Place | str,
    *,
    address: str | None = None,
    without_ray: bool = False,
    console: "Console | None" = None,
) -> Study:
    """Run the sweep in the directory ``out`` until it is done or its time is up, and return its study.

    Arguments and errors are those of `sweeps.running.driver.run`.
    """
    return Study.of(driver.run(sweep, out, address=address, without_ray=without_ray, console=console))
