"""A method of the user's own, named ``package.module:Class``."""

import importlib

from pruners.errors import PrunerError, UnknownMethod, nearest
from pruners.method import Method, Option
from pruners.option_values import shown

_NEEDS = ("data", "loss", "example")


def users_method(reference: str, bases: tuple[type[Method], ...]) -> Method:
    """Import the class that ``package.module:Class`` names, a subclass of one of ``bases``, and make one.

    What it is called by is this reference, whatever the class says.

    Raises UnknownMethod where there is no such module or class, PrunerError where it is no method or one that
    could not be used: abstract, not to be made without arguments, or wrong in what it says of itself.
    """
    what = f"Method {reference}"
    found = _imported(reference, what)
    named = [base.__name__ for base in bases]
    if not isinstance(found, type) or not issubclass(found, bases):
        kind = "class" if isinstance(found, type) else type(found).__name__
        raise PrunerError(f"{what} is a {kind}, not a subclass of {', '.join(named[:-1])} or {named[-1]}.")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise PrunerError(f"{what} is abstract: it does not define {' and '.join(missing)}.")
    try:
        rule: Method = found()
        rule.name = reference
    except Exception as error:
        raise PrunerError(f"{what} raised {_described(error)} when it was made without arguments.") from error
    _check_description(rule, what)
    return rule


def _imported(reference: str, what: str) -> object:
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise UnknownMethod(f"{what} is not of the form package.module:Class.")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UnknownMethod(f"{what}: importing {module_name} failed with {_described(error)}.") from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise UnknownMethod(f"{what}: {module_name} has no {attribute!r}{nearest(attribute, public)}")
    return getattr(module, attribute)


def _check_description(rule: Method, what: str) -> None:
    """Raise PrunerError where title, paper, needs or options are not what `Method` says."""
    for attribute in ("title", "paper"):
        if not isinstance(text := getattr(rule, attribute, None), str) or not text:
            raise PrunerError(f"{what} has no {attribute}: give the class a text of that name.")
    if not isinstance(rule.needs, tuple) or not set(rule.needs) <= set(_NEEDS):
        raise PrunerError(f"{what}: needs takes a tuple of {', '.join(_NEEDS)}, not {shown(rule.needs)}.")
    own = getattr(rule, "options", None)
    if not isinstance(own, tuple) or not all(isinstance(option, Option) for option in own):
        raise PrunerError(f"{what}: options takes a tuple of Option, not {shown(own)}.")
    seen: set[str] = set()
    for option in rule.all_options:
        if option.name in seen:
            raise PrunerError(f"{what} has two options of the name {option.name!r}.")
        seen.add(option.name)
        try:
            option.checked(option.default)
        except Exception as error:
            said = str(error) if isinstance(error, PrunerError) else f"{_described(error)}."
            raise PrunerError(f"{what} has an option with a default that it does not take: {said}") from error


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": .")
