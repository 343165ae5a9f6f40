"""A study outlives its driver, its workers and a second driver, and counts exactly."""

import json
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from sweeps.study import storage
from sweeps.study.paths import StudyPaths
from sweeps.study.rows.row import outcome_of, root_of
from tests.plugins.cluster import Cluster
from tests.plugins.until import until
from tests.sweeps.cluster.conftest import StudyOnCluster, ended
from tests.sweeps.commands import after_first_words

pytestmark = pytest.mark.timeout(900)
CONCURRENT = 2


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> list[tuple[object, ...]]:
    """The same sweep run to its end in one process, without Ray."""
    with StudyOnCluster(tmp_path_factory.mktemp("undisturbed"), cluster) as study:
        study.finish("--in-process")
        return study.results()


def test_driver_killed_three_times_at_random_moments(study_on_cluster, undisturbed):
    study, moments = study_on_cluster, random.Random(2026)
    for after in (0, 3, 6):
        driver = study.start()
        until(lambda after=after: ended(study.out) >= after, 120)
        time.sleep(moments.uniform(0.0, 5.0))
        assert driver.poll() is None, "the sweep was over before its driver could be killed"
        study.kill(driver)
    study.finish()

    status = study.status()
    assert (status["complete"], status["failed"], status["running"], status["target"]) == (16, 0, 0, 16)
    rows = storage.load(StudyPaths(study.out), "survivor", None).get_trials(deepcopy=False)
    ends = [root_of(row) for row in rows if outcome_of(row) == "complete"]
    assert len(ends) == len(set(ends)) == 16
    assert {outcome_of(row) for row in rows} <= {"complete", "abandoned"}
    assert study.results() == undisturbed
    assert study.repeated_epochs() <= 3 * CONCURRENT, (
        "more than one checkpoint interval was repeated by a trial"
    )


def trainer(out: Path) -> int | None:
    """The process that trained an epoch last, by the store's training logs."""
    logs = sorted(out.glob("store/*/*/training_log.jsonl"), key=lambda path: path.stat().st_mtime)
    return json.loads(logs[-1].read_text().splitlines()[-1])["pid"] if logs else None


def test_worker_killed_costs_its_steps_since_the_checkpoint_only(study_on_cluster, undisturbed):
    study = study_on_cluster
    driver = study.start("--trials", "6")
    until(lambda: ended(study.out) >= 2, 120)
    psutil.Process(trainer(study.out)).kill()
    printed, errors = driver.communicate(timeout=400)
    assert driver.returncode == 0, printed + errors
    status = study.status()
    assert (status["complete"], status["deaths"]) == (6, {"crashed": 1})
    assert set(study.results()) < set(undisturbed)
    assert study.repeated_epochs() <= 1


def test_second_driver_is_refused_and_the_first_stops_in_good_order(study_on_cluster):
    study = study_on_cluster
    first = study.start()
    until((study.out / "driver.lock").exists, 120)
    second = study.start()
    printed, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"this study is already being run by process {first.pid}" in errors
    assert "Traceback" not in errors
    assert after_first_words(printed) == []

    until(lambda: ended(study.out) >= 1)
    first.send_signal(signal.SIGINT)
    printed, errors = first.communicate(timeout=200)
    assert first.returncode == 130, printed + errors
    assert printed.count("Stopping; what trials have done so far is kept.") == 1
    assert "Go on with: " in errors and "Traceback" not in printed + errors
    wanted = ended(study.out) + 1
    study.finish("--trials", str(wanted))
    assert (study.status()["complete"], study.status()["failed"]) == (wanted, 0)
