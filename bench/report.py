"""Measures what `tombola report` costs for a study of very many trials, imports told apart.

Two trials are run for real, a small ResNet with a tolerance for each layer; their rows and results are then
repeated, with other parameters and values, until the study has as many trials as asked for. Times are those
of the command's processor, the best of three runs; imports are those of the same modules alone. How soon the
page can be read, and when its last chart is drawn, is told by the clock of a headless Chromium, the median of
three openings.

Run: python -m bench.report [--trials 10000]
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import create_trial

import sweeps
from sweeps.study import storage
from sweeps.study.paths import StudyPaths
from tests.report.chromium import chromium

SWEEP = {
    "name": "long",
    "task": {"network": "resnet20", "network_options": {"width": 4}, "data": "digits"},
    "training": {"epochs": 2, "batch_size": 256, "lr": 0.05},
    "compression": {"method": "alds"},
    "budget": {"keep_ratio": 0.4},
    "per_layer": {"tolerance": {"min": 0.5, "max": 2.0}},
    "method": "random",
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "run_cap": 2,
    "seed": 0,
}
REPORT = ("-m", "tombola", "report")
IMPORTS = ("-c", "import sweeps.commands.report, sweeps.report.page")


def lengthen(paths: StudyPaths, trials: int) -> None:
    """Add copies of the last trial until the study has so many."""
    study, dice = storage.load(paths, "long", None), random.Random(0)
    last = study.get_trials(deepcopy=False)[-1]
    result: dict[str, Any] = json.loads(paths.result(str(last.number)).read_text())
    for number in range(last.number + 1, trials):
        value = dice.random()
        metrics = {**last.user_attrs["metrics"], "val/accuracy": value, "compress/params_kept": dice.random()}
        row = create_trial(
            value=value,
            params={name: dice.uniform(0.5, 2.0) for name in last.params},
            distributions=last.distributions,
            user_attrs={**last.user_attrs, "metrics": metrics},
            intermediate_values=last.intermediate_values,
        )
        study.add_trial(row)
        paths.trial(str(number)).mkdir()
        paths.result(str(number)).write_text(json.dumps({**result, "key": str(number)}))


def seconds(*arguments: str) -> float:
    """The processor seconds of a Python process, its children's aside."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, code, used = os.wait4(process.pid, 0)
    if code:
        raise SystemExit(f"it ended with {os.waitstatus_to_exitcode(code)}")
    return used.ru_utime + used.ru_stime


def opening(report: Path, profile: Path) -> tuple[float, float]:
    """The seconds until a browser shows the page's text, and until its charts are drawn."""
    times = []
    with chromium(profile) as browser:
        for _ in range(3):
            with browser.page() as page:
                page.open(report)
                loaded = "performance.getEntriesByType('navigation')[0].loadEventStart"
                times.append((page.run(loaded) / 1000, page.run("performance.now()") / 1000))
    readable, drawn = (statistics.median(column) for column in zip(*times, strict=True))
    return readable, drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    trials = parser.parse_args().trials
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    os.environ["WANDB_MODE"] = "disabled"
    with tempfile.TemporaryDirectory() as scratch:
        file, folder = Path(scratch) / "sweep.yaml", Path(scratch) / "study"
        file.write_text(yaml.safe_dump(SWEEP))
        sweeps.run(sweeps.Sweep.from_file(file), folder, without_ray=True)
        paths = StudyPaths(folder)
        lengthen(paths, trials)
        kilobytes = paths.result("1").stat().st_size / 1000
        whole = min(seconds(*REPORT, str(folder)) for _ in range(3))
        imports = min(seconds(*IMPORTS) for _ in range(3))
        page = paths.report.stat().st_size / 1e6
        readable, drawn = opening(paths.report, Path(scratch) / "profile")
    print(f"{trials:,} trials with a result.json of {kilobytes:.1f} KB each: a page of {page:.1f} MB")
    print(f"tombola report: {whole:.1f} s, of which imports {imports:.1f} s")
    print(f"in a browser: read after {readable:.1f} s, all charts drawn after {drawn:.1f} s")


if __name__ == "__main__":
    main()
