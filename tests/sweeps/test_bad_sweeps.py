"""Every wrong sweep file gets its sentence and its exit code, and nothing is run or written."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sweeps.bad_calibrated import BAD_CALIBRATED
from tests.sweeps.bad_cascades import BAD_CASCADES
from tests.sweeps.bad_changing_masks import BAD_CHANGING_MASKS, CHANGING, RIGL
from tests.sweeps.bad_choices import BAD_CHOICES
from tests.sweeps.bad_distillation import BAD_DISTILLATION
from tests.sweeps.bad_int8 import BAD_INT8
from tests.sweeps.bad_learning_compression import BAD_LEARNING_COMPRESSION
from tests.sweeps.bad_searches import BAD_SEARCHES
from tests.sweeps.bad_sparse_sweeps import AT_INIT, BAD_SPARSE_SWEEPS, LOTTERY
from tests.sweeps.bad_sweeps import BAD_SWEEPS, SWEEP, BadSweep
from tests.sweeps.bad_tasks import BAD_TASKS
from tests.sweeps.bad_values import BAD_VALUES
from tests.sweeps.commands import Answer, after_first_words, assert_short, contents

BAD = (
    BAD_SWEEPS
    | BAD_SEARCHES
    | BAD_SPARSE_SWEEPS
    | BAD_TASKS
    | BAD_VALUES
    | BAD_CHOICES
    | BAD_CALIBRATED
    | BAD_DISTILLATION
    | BAD_INT8
    | BAD_CASCADES
    | BAD_LEARNING_COMPRESSION
    | BAD_CHANGING_MASKS
)
Tombola = Callable[..., Answer]


@pytest.mark.parametrize("text", [SWEEP, LOTTERY, AT_INIT, CHANGING, RIGL])
def test_the_sweeps_that_the_others_are_made_of_are_right(tombola: Tombola, text: str) -> None:
    Path("s.yaml").write_text(text)
    answer = tombola("validate", "s.yaml")
    assert (answer.exit_code, answer.stderr) == (0, "") and answer.stdout.startswith("s.yaml is sound.\n")


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_wrong_sweep_is_refused_with_its_sentence(tombola: Tombola, bad: BadSweep) -> None:
    text = bad.base
    for old, new in bad.edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("s.yaml").write_text(text)
    before = contents(Path())
    answer = tombola("run", "s.yaml", "--in-process")
    assert re.fullmatch(f"tombola: {bad.said}\n", answer.stderr), answer.stderr
    assert answer.exit_code == bad.exit_code
    assert after_first_words(answer.stdout) == []
    assert_short(answer.stderr)
    assert contents(Path()) == before
    assert tombola("validate", "s.yaml") == replace(answer, stdout="")
