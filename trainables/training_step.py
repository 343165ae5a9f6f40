"""Steps of a training as people write them: ``500it`` is after 500 steps, ``2ep`` after two epochs."""

import re

_FORM = re.compile(r"(\d+)(it|ep)")


def check(text: str) -> str:
    """Return ``text`` itself; raise ValueError unless it names a step of a training."""
    if not _FORM.fullmatch(text):
        raise ValueError(
            f"{text!r} is no place in a training; write 500it (after 500 optimiser steps) or 2ep (after two "
            "epochs)"
        )
    return text


def steps(text: str, steps_per_epoch: int) -> int:
    """Count the optimiser steps before that one."""
    found = _FORM.fullmatch(check(text))
    assert found
    return int(found[1]) * (steps_per_epoch if found[2] == "ep" else 1)
