"""The folder of a study as an argument of a command."""

from pathlib import Path

import click

from sweeps.study.where import study_folder


class StudyFolder(click.Path):
    """A folder, which need not be there yet; a URL is refused before pathlib makes a folder of it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # type: ignore[override]
        """Return the folder. Raises `SweepError` for a URL."""
        return study_folder(super().convert(str(study_folder(value)), param, ctx))
