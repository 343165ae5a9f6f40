"""What a report needs to start."""

import subprocess
import sys

LOOK = """
import sys
import sweeps.report.page
found = {"sklearn", "matplotlib", "pandas", "scipy.stats", "torch"} & set(sys.modules)
assert not found, found
import optuna
assert "optuna.importance" not in sys.modules, "whoever asks for it has all of it"
"""


def test_it_starts_without_the_packages_that_it_does_not_use() -> None:
    answer = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
