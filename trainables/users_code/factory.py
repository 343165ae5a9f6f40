"""The user's own code, named ``package.module:attribute`` in the sweep file."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from trainables.errors import TaskError, nearest
from trainables.users_code.given import is_given
from trainables.users_code.source_digest import source_digests

_looked_at: set[str] = set()


def is_reference(name: str) -> bool:
    """Tell whether ``name`` points into the user's code rather than at something built in."""
    return ":" in name and not name.startswith("torchvision:")


def resolve(reference: str, what: str) -> Callable[..., Any]:
    """Import the callable that ``package.module:attribute`` names.

    ``what`` ("network", "data", "loss") opens the error's sentence. Raises `TaskError` when the module cannot
    be imported or has no such callable.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise TaskError(f"{what} {reference!r} is not of the form package.module:attribute.")
    if is_given(module_name) and not hasattr(sys.modules.get(module_name), attribute):
        raise TaskError(
            f"{what} {reference} was given by a program, which alone can go on: run its sweep there again."
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise TaskError(
            f"{what} {reference}: importing {module_name} failed with {describe(error)}."
        ) from error
    take_down(reference)
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise TaskError(
            f"{what} {reference}: {module_name} has no attribute {attribute!r}; {nearest(attribute, public)}"
        )
    found = getattr(module, attribute)
    if not callable(found):
        raise TaskError(
            f"{what} {reference}: {attribute} is {_with_article(found)}, not something that can be called."
        )
    return found


def take_down(reference: str) -> None:
    """Take down the source of a reference's module, right after its loading: its files still are that.

    Raises `TaskError` for a module without a file.
    """
    module_name = reference.partition(":")[0]
    if module_name not in _looked_at:
        _looked_at.add(module_name)
        source_digests([reference])


def call(factory: Callable[..., Any], name: str, what: str, *given: Any, **options: Any) -> Any:
    """Call a factory; whatever it raises becomes a `TaskError` with the exception's type and text."""
    try:
        return factory(*given, **options)
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f"{what} {name} raised {describe(error)}.") from error


def with_defaults(
    factory: Callable[..., Any], name: str, what: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Fill in a built-in factory's keyword-only defaults, so that equal meaning is equal data.

    Raises `TaskError` for an unknown option, with the nearest known one, and for a missing one that has no
    default.
    """
    keyword_only = {
        p.name: p.default for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    for option in options:
        if option not in keyword_only:
            hint = nearest(option, keyword_only) if keyword_only else "it takes none."
            raise TaskError(f"{what} {name} has no option {option!r}; {hint}")
    full = keyword_only | dict(options)
    for option, value in full.items():
        if value is inspect.Parameter.empty:
            raise TaskError(f"{what} {name} needs the option {option!r}.")
    return full


def describe(error: BaseException) -> str:
    """Describe an exception by its type and text, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}".rstrip(": .")


def _with_article(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
