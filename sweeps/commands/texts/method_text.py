"""What methods say of themselves, as text for a terminal of any width."""

from collections.abc import Iterable, Iterator
from textwrap import wrap

import pruners
from pruners import Method, Option

_KINDS = {
    "decomposition": ("Low rank: layers become smaller ones (a decomposition)", pruners.REFIT_OPTIONS),
    "mask": ("Sparse: single weights are removed (a mask)", pruners.SHARED_OPTIONS),
    "channels": ("Filters: channels are removed for real (channels)", pruners.CHANNEL_OPTIONS),
}
_INDENT, _LABEL = "  ", 9


def by_kind(methods: Iterable[Method], width: int) -> str:
    """Tell of all methods, each kind under its heading with the options that its methods share at the end."""
    every, lines = list(methods), []
    for kind, (heading, shared) in _KINDS.items():
        lines += [heading, "=" * len(heading), ""]
        of_kind = [method for method in every if method.kind == kind]
        for method in of_kind:
            own = [option for option in method.all_options if option not in shared]
            lines += [*_about(method, width), *_listed(own, width), ""]
        without = [m.name for m in of_kind if not any(option in shared for option in m.all_options)]
        who = f"All but {' and '.join(without)} also take:" if without else "Each of these also takes:"
        lines += [who, *_listed(shared, width, label=""), ""]
    return "\n".join([*lines, *wrap("tombola methods NAME tells what the options of one mean.", width)])


def in_full(method: Method, width: int) -> str:
    """Tell all of one method, with what its options mean."""
    lines = [*_about(method, width), *_labelled("makes", _made(method), width), "", "Options:"]
    for option in method.all_options:
        lines += ["", *_wrapped(_value(option), width, _INDENT, _INDENT * 3)]
        lines += _wrapped(option.meaning, width, _INDENT * 3, _INDENT * 3)
    return "\n".join(lines)


def _about(method: Method, width: int) -> Iterator[str]:
    yield method.name
    yield from _wrapped(method.title, width, _INDENT, _INDENT)
    yield from _labelled("paper", method.paper, width)
    yield from _labelled("needs", _needs(method), width)
    of = {"trained": "a trained network", "untrained": "a network before training", "either": "any network"}
    yield from _labelled("for", of[method.made_for], width)


def _needs(method: Method) -> str:
    needs = set(method.needs)
    data = "labelled data and a loss" if "loss" in needs else "data without labels"
    parts = [data] if "data" in needs else []
    return " and ".join([*parts, *(["an example input"] if "example" in needs else [])]) or "weights alone"


def _made(method: Method) -> str:
    return {"decomposition": "a decomposition", "mask": "a mask", "channels": "channels"}[method.kind]


def _listed(options: Iterable[Option], width: int, label: str = "options") -> Iterator[str]:
    """Yield a line, or more, for each option: its default, and what it takes."""
    for option in options:
        yield from _labelled(label, _value(option), width)
        label = ""


def _value(option: Option) -> str:
    return f"{option.name} = {_default(option.default)} ({option.takes})"


def _default(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return "none" if value in ((), {}, []) else str(value)


def _labelled(label: str, text: str, width: int) -> list[str]:
    return _wrapped(text, width, f"{_INDENT}{label:<{_LABEL}}", _INDENT + " " * (_LABEL + 2))


def _wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    return wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
