"""Where a study lives, as a person writes it."""

from pathlib import Path

from sweeps.errors import SweepError


def study_folder(text: str | Path) -> Path:
    """Return the folder of a study.

    Raises `SweepError` for a URL, of which pathlib would make a folder of that name.
    """
    if "://" in str(text):
        raise SweepError(f"{text} is a URL; a study lives in a folder of a file system that every node sees.")
    return Path(text)
