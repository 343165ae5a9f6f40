"""The folder of a study as an argument of a command."""

from pathlib import Path
from typing import Any

import click

from sweeps.errors import SweepError
from sweeps.study.where import study_place
from trainables.places.place import Place, is_url


class NewFolder(click.Path):
    """A folder of this machine that is to be made; a URL is refused, of which pathlib would make a folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the folder. Raises `SweepError` for a URL."""
        if is_url(str(value)):
            raise SweepError(f"{value} is a URL; give a folder of this machine.")
        return Path(str(super().convert(value, param, ctx)))


class StudyFolder(click.Path):
    """A folder of a file system or, by its URL, of an object store; it need not be there yet."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:  # type: ignore[override]
        """Return the folder. Raises `SweepError` for a URL of a kind that is not known."""
        if is_url(str(value)):
            return study_place(value)
        return Path(str(super().convert(value, param, ctx)))
