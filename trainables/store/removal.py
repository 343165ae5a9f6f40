"""What leaves the store again: a cache, of which anything may go that nobody is working on."""

import re
import uuid
from collections.abc import Callable
from contextlib import suppress

from trainables.places.folders import remove_tree
from trainables.places.object_path import ObjectPath
from trainables.places.place import Place, matching
from trainables.store.lease import is_held

_TRASH = ".removed-"


def remove(store: Place, unwanted: Callable[[Place], bool]) -> list[Place]:
    """Remove the trajectories whose folder is ``unwanted``, except those that somebody holds.

    Returns the folders removed. A trajectory leaves whole or not at all; in an object store, which renames
    nothing, what says that a snapshot is whole leaves first. Who takes its lease in that very moment finds
    that it is lost, and trains elsewhere anew.
    """
    removed: list[Place] = []
    for folder in matching(store, "[0-9a-f][0-9a-f]/*"):
        if re.fullmatch("[0-9a-f]{64}", folder.name) and not is_held(folder) and unwanted(folder):
            if isinstance(folder, ObjectPath):
                remove_tree(folder)
                removed.append(folder)
            else:
                with suppress(FileNotFoundError):  # another driver was faster
                    folder.rename(folder.parents[1] / f"{_TRASH}{uuid.uuid4().hex}")
                    removed.append(folder)
    for trash in store.glob(f"{_TRASH}*"):  # also what was cut off when it was last removed
        remove_tree(trash)
    return removed
