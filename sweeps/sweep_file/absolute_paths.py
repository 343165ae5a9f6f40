"""Makes the paths of a sweep file absolute: a worker, or a later driver, stands in another folder."""

from pathlib import Path
from typing import Any

from trainables.places.place import is_url

_TASKS = (("task",), ("lottery", "transfer", "task"))
_PATHS = (
    *((*task, *last) for task in _TASKS for last in (("checkpoint",), ("data_options", "root"))),
    ("storage", "store"),
)
_SQLITE = "sqlite:///"


def make_absolute(data: dict[str, Any]) -> None:
    """Make a sweep file's relative paths absolute, from the folder that the command is given in."""
    for *parents, last in _PATHS:
        section: Any = data
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(section.get(last), str) and not is_url(section[last]):
            section[last] = str(Path(section[last]).expanduser().absolute())
    storage = data.get("storage")
    url = storage.get("study") if isinstance(storage, dict) else None
    if isinstance(storage, dict) and isinstance(url, str) and url.startswith(_SQLITE):
        storage["study"] = _SQLITE + str(Path(url.removeprefix(_SQLITE)).absolute())
