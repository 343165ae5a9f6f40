"""McNemar's exact test against SciPy's binomial test, and the bits that it is told from."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from trainables.results.mcnemar import mcnemar
from trainables.task.metrics.classes import Accuracy
from trainables.task.metrics.packed import unpacked
from trainables.task.metrics.right_answers import RightAnswers


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_it_is_the_binomial_test_of_the_examples_that_one_alone_tells_right(
    pairs: list[tuple[bool, bool]],
) -> None:
    right, reference = np.array(pairs).T
    told = mcnemar(right, reference)
    only, other = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    assert (told["only"], told["only_reference"], told["examples"]) == (only, other, len(pairs))
    expected = binomtest(only, only + other, 0.5).pvalue if only + other else 1.0
    assert told["p"] == pytest.approx(expected, abs=1e-12)
    differences = right.astype(float) - reference.astype(float)
    assert told["difference"] == pytest.approx(differences.mean(), abs=1e-12)
    assert told["error"] == pytest.approx(differences.std() / np.sqrt(len(pairs)), abs=1e-9)
    swapped = mcnemar(reference, right)
    assert swapped["p"] == told["p"] and swapped["difference"] == -told["difference"]


def test_thousands_of_examples_that_differ_are_no_trouble() -> None:
    right = np.arange(50_000) < 26_000
    told = mcnemar(right, ~right)
    assert told["p"] == pytest.approx(binomtest(26_000, 50_000, 0.5).pvalue, rel=1e-9)
    assert told["difference"] == 0.04


def scores(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.randn(len(labels), classes, *labels.shape[1:], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("count", [1, 7, 8, 37])
@pytest.mark.parametrize("outputs", [lambda labels: scores(labels, 3), lambda labels: scores(labels, 1)])
def test_the_bits_are_those_that_accuracy_counts(
    count: int, outputs: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    labels = torch.randint(2, (count,), generator=torch.Generator().manual_seed(count))
    answers, accuracy = RightAnswers(-100), Accuracy(-100)
    for batch in torch.split(torch.arange(count), 5):
        for counter in (answers, accuracy):
            counter.update(outputs(labels)[batch], labels[batch])
    packed: dict[str, Any] | None = answers.packed()
    assert packed is not None and len(packed["right"]) <= 4 * (count // 24 + 1)
    bits = unpacked(json.loads(json.dumps(packed)))
    given_outputs = outputs(labels)
    told = given_outputs.argmax(1) if given_outputs.shape[1] > 1 else (given_outputs[:, 0] > 0).long()
    assert bits.tolist() == (told == labels).tolist()
    assert accuracy.compute() == pytest.approx(bits.mean()) and answers.compute() == bits.sum()


def test_several_labels_of_an_example_are_no_bits() -> None:
    labels = torch.zeros(4, 2, 2, dtype=torch.long)
    answers = RightAnswers(255)
    answers.update(scores(labels, 3), labels)
    assert answers.packed() is None and RightAnswers(255).packed() is None
