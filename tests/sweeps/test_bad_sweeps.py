"""Every wrong sweep file gets its sentence and its exit code, and nothing is run or written."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sweeps.bad_sweeps import BAD_SWEEPS, SWEEP, BadSweep
from tests.sweeps.commands import Answer, assert_short, contents

Tombola = Callable[..., Answer]


def test_the_sweep_that_the_others_are_made_of_is_right(tombola: Tombola) -> None:
    Path("s.yaml").write_text(SWEEP)
    answer = tombola("validate", "s.yaml")
    assert (answer.exit_code, answer.stderr) == (0, "") and answer.stdout.startswith("s.yaml is sound.\n")


@pytest.mark.parametrize("bad", BAD_SWEEPS.values(), ids=BAD_SWEEPS)
def test_a_wrong_sweep_is_refused_with_its_sentence(tombola: Tombola, bad: BadSweep) -> None:
    text = SWEEP
    for old, new in bad.edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("s.yaml").write_text(text)
    before = contents(Path())
    answer = tombola("run", "s.yaml", "--in-process")
    assert re.fullmatch(f"tombola: {bad.said}\n", answer.stderr), answer.stderr
    assert answer.exit_code == bad.exit_code
    assert answer.stdout == ""
    assert_short(answer.stderr)
    assert contents(Path()) == before
    assert tombola("validate", "s.yaml") == answer
