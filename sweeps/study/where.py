"""Where a study lives, as a person writes it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sweeps.errors import FAILED, SweepError
from trainables.errors import StoreError
from trainables.places import place
from trainables.places.place import Place


def study_place(text: str | Place) -> Place:
    """Return the folder that a path names, or the one in an object store that a URL names.

    Raises `SweepError` for a URL of a kind that is not known.
    """
    try:
        return place.place_of(text)
    except ValueError as error:
        raise SweepError(f"{error}.") from error


@contextmanager
def explained() -> Iterator[None]:
    """Make a `SweepError` of what an object store says in the block of being away or of access."""
    try:
        yield
    except StoreError as error:
        raise SweepError(str(error), FAILED) from error


@contextmanager
def answering(root: Place) -> Iterator[None]:
    """Check that the object store answers that holds a study, if one does, and explain what it says."""
    with explained():
        place.check(root)
        yield
