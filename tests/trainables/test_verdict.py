import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtr, stdtrit

from trainables.results.verdict import verdict

SHARES = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), min_size=2, max_size=12).map(
    lambda pairs: [(a / 5000, b / 5000) for a, b in pairs]
)


@settings(deadline=None)  # scipy.stats is imported by the first call
@given(SHARES)
def test_it_is_students_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    values, reference = zip(*pairs, strict=True)
    found = verdict(values, reference)
    differences = [a - b for a, b in pairs]
    assert found["difference"] == pytest.approx(math.fsum(differences) / len(pairs), abs=1e-12)
    if max(differences) - min(differences) < 1e-9:  # scipy's answer is nan there
        assert found["verdict"] == ("no spread" if abs(differences[0]) > 1e-9 else "matching")
        return
    assert found["low"] <= found["difference"] <= found["high"]
    # Student (1908): t = mean / (standard deviation / sqrt(n)), with n - 1 degrees of freedom
    degrees, mean = len(pairs) - 1, statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(pairs))
    reach = stdtrit(degrees, 0.975) * error
    assert (found["low"], found["high"]) == pytest.approx((mean - reach, mean + reach), rel=1e-6, abs=1e-9)
    assert found["p"] == pytest.approx(2 * stdtr(degrees, -abs(mean) / error), rel=1e-6, abs=1e-9)
    assert (found["verdict"] == "matching") == (found["low"] <= 0 <= found["high"])


def test_one_seed_tells_nothing() -> None:
    assert verdict([0.9], [0.8]) == {"verdict": "one seed", "difference": pytest.approx(0.1), "seeds": 1}


def test_better_matching_and_worse() -> None:
    dense = [0.80, 0.81, 0.79]
    assert verdict([0.90, 0.91, 0.895], dense)["verdict"] == "better"
    assert verdict([0.70, 0.71, 0.695], dense)["verdict"] == "worse"
    assert verdict([0.81, 0.80, 0.79], dense)["verdict"] == "matching"


def test_differences_without_spread() -> None:
    same = verdict([0.5, 0.75], [0.5, 0.75])
    assert (same["verdict"], same["p"], same["low"], same["high"]) == ("matching", 1.0, 0.0, 0.0)
    assert verdict([0.95, 0.94], [0.94, 0.93]) == {
        "verdict": "no spread",
        "difference": pytest.approx(0.01),
        "seeds": 2,
    }
