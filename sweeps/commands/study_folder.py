"""The folder of a study as an argument of a command."""

from pathlib import Path
from typing import Any

import click

from sweeps.study.where import study_place
from trainables.places.place import Place, is_url


class StudyFolder(click.Path):
    """A folder of a file system or, by its URL, of an object store; it need not be there yet."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:  # type: ignore[override]
        """Return the folder. Raises `SweepError` for a URL of a kind that is not known."""
        if is_url(str(value)):
            return study_place(value)
        return Path(str(super().convert(value, param, ctx)))
