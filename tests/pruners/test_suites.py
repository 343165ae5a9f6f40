"""The suites can fail: each way in which a method may be broken is caught, and by the test that names it."""

import pytest

from tests.docs.pages import PROJECT

BROKEN = "tests/pruners/broken_methods.py"
CAUGHT = {
    "RankOverBudget": "never_over_budget",
    "RankOtherEveryTime": "same_answer_every_time",
    "RankIgnoresBudget": "a_larger_budget_is_used",
    "RankIgnoresExclude": "an_excluded_layer_stays_dense",
    "RankChangesWeights": "model_is_untouched",
    "ScoresUnseeded": "same_seed_same_answer",
    "ScoresNotFinite": "scores_are_of_every_prunable_weight",
    "ScoresLeavesOneOut": "scores_are_of_every_prunable_weight",
    "ScoresOfOneValue": "scores_are_of_every_prunable_weight",
    "ScoresInSinglePrecision": "double_precision",
    "ScoresChangesData": "data_is_untouched",
    "ChannelsUnseeded": "same_answer_every_time",
    "ChannelsOfOneValue": "the_highest_scores_are_kept",
}


class Outcomes:
    """Collects how tests ended, by their ids."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.of[report.nodeid] = report.outcome


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How the tests that are to fail ended, and one of each method that is none of these.

    They are run as in a user's repository, which has its own settings and no conftest of ours.
    """
    wanted = [f"{PROJECT / BROKEN}::Test{name}::test_{test}" for name, test in CAUGHT.items()]
    passing = [f"{PROJECT / BROKEN}::Test{name}::test_describes_itself" for name in CAUGHT]
    settings = tmp_path_factory.mktemp("settings") / "pytest.ini"
    settings.write_text("[pytest]\n")
    found = Outcomes()
    options = ("-q", "--noconftest", "-c", str(settings), "-p", "no:cacheprovider", "-p", "no:xdist")
    pytest.main([*options, *wanted, *passing], plugins=[found])
    return found.of


@pytest.mark.parametrize("name", CAUGHT)
def test_a_broken_method_is_caught(ended: dict[str, str], name: str) -> None:
    of_it = {test.rpartition("::test_")[2]: how for test, how in ended.items() if f"::Test{name}::" in test}
    assert of_it == {CAUGHT[name]: "failed", "describes_itself": "passed"}
