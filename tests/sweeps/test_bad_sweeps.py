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
    for line in answer.stderr.splitlines(keepends=True):
        assert_short(line)
    assert contents(Path()) == before
    assert tombola("validate", "s.yaml") == replace(answer, stdout="")


def test_all_mistakes_of_a_file_are_told_at_once(tombola: Tombola) -> None:
    text = SWEEP.replace("name: base", "nam: base").replace("goal: maximize", "goal: up")
    Path("s.yaml").write_text(
        text + "program: train.py\ncommand: [python]\ncontroller: {type: local}\nseed: one\n"
    )
    answer = tombola("validate", "s.yaml")
    assert answer.exit_code == 2
    told = answer.stderr.splitlines()
    unknown = ("nam", "program", "command", "controller")
    assert [f'unknown key "{key}"' in line for key, line in zip(unknown, told, strict=False)] == 4 * [True]
    assert any('the key "name" is missing.' in line for line in told)
    assert any("metric.goal: should be 'maximize' or 'minimize', not 'up'." in line for line in told)
    assert any("seed: " in line and "'one'" in line for line in told)
    assert len(told) == 7


def test_very_many_mistakes_are_counted(tombola: Tombola) -> None:
    Path("s.yaml").write_text(SWEEP + "".join(f"key{number}: 1\n" for number in range(30)))
    told = tombola("validate", "s.yaml").stderr.splitlines()
    assert len(told) == 21 and told[-1] == "10 more to mend after that."
