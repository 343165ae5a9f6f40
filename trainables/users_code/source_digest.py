"""What the user's code is known by: the source of every module that a factory pulls in, as it runs here."""

import hashlib
import sys
import warnings
from collections.abc import Iterable
from importlib.machinery import ModuleSpec

from trainables.errors import StoreWarning, TaskError
from trainables.users_code.import_graph import read_source, users_modules

# by module: which loading of it (None: none yet) and its source as last seen
_read: dict[str, tuple[object, bytes | None]] = {}


def source_digests(references: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of every module of the user's own that ``module:attribute`` texts pull in, by name.

    The digest is of the code that runs: of a module that was edited after this process had loaded it that is
    the old one, and a `StoreWarning` says so. Raises `TaskError` for a reference into a module without a
    file, of which no edit would be noticed.
    """
    digests: dict[str, str] = {}
    for reference in references:
        name = reference.partition(":")[0]
        found = users_modules(name, _as_loaded)
        if name not in found:
            raise TaskError(
                f"{reference}: the module {name} has no source file, so an edit of it would go unnoticed; "
                "put it into one."
            )
        for module, spec in found.items():
            digests[module] = hashlib.sha256(_as_loaded(module, spec) or b"").hexdigest()
    return dict(sorted(digests.items()))


def _as_loaded(name: str, spec: ModuleSpec) -> bytes | None:
    """Return the source that this process has loaded a module from, or would load it from now."""
    now, module = read_source(spec), sys.modules.get(name)
    if module is None:
        _read[name] = None, now
        return now
    loading = getattr(module, "__spec__", None) or module  # loading a module again gives it another spec
    known, before = _read.get(name, (loading, now))
    if known is None and before != now:  # loaded since it was looked at, from the one or the other
        before = b"\0".join(text for text in (before, now) if text is not None)
    elif known is not loading and known is not None:  # loaded again
        before = now
    _read[name] = loading, before
    if before != now:
        warnings.warn(
            f"{spec.origin} was edited after this process had loaded it: what runs, and is trained, is the "
            "code as it was. "
            f"Start a new process to use the edit.",
            StoreWarning,
            stacklevel=2,
        )
    return before
