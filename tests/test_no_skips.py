import pytest

SKIPPING = """
import pytest

def test_passes():
    pass

def test_skips():
    pytest.skip("no database here")

@pytest.mark.skipif(True, reason="no browser here")
def test_skips_by_mark():
    pass

@pytest.fixture
def server():
    pytest.skip("no server here")

def test_skips_in_a_fixture(server):
    pass

@pytest.mark.gpu
def test_needs_a_gpu():
    pytest.skip("no GPU here")

@pytest.mark.xfail
def test_known_to_fail():
    assert False
"""

SKIPPING_MODULE = """
import pytest

pytest.importorskip("a_module_that_nobody_has")
"""


@pytest.fixture
def skipping(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nmarkers = gpu: needs a GPU")
    pytester.makepyfile(test_skipping=SKIPPING)
    return pytester


def test_a_skip_is_a_failure_in_ci(skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = skipping.runpytest("-p", "tests.plugins.no_skips")
    result.assert_outcomes(passed=1, failed=1, errors=2, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines_random(
        ["*Nothing may be skipped in CI.*no database here*", "*Nothing may be skipped in CI.*no server here*"]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_module_that_skips_itself_is_a_failure_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(test_skipping=SKIPPING_MODULE)
    result = pytester.runpytest("-p", "tests.plugins.no_skips")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Nothing may be skipped in CI.*a_module_that_nobody_has*"])
    assert result.ret != pytest.ExitCode.OK


def test_a_skip_is_a_skip_elsewhere(skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    result = skipping.runpytest("-p", "tests.plugins.no_skips")
    result.assert_outcomes(passed=1, skipped=4, xfailed=1)
    assert result.ret == pytest.ExitCode.OK
