"""Run a study's trials as Ray Tune trials, on this machine or on a cluster that is already up."""

import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import floor
from typing import Any

import ray
from ray import tune

from sweeps.errors import FAILED, SweepError
from sweeps.running.conductor import Conductor
from sweeps.running.on_ray.runtime_env import runtime_env
from sweeps.running.on_ray.searcher import StudySearcher
from sweeps.running.retries import Deaths, pause, reason
from sweeps.search.schedulers import TrialScheduler
from sweeps.study.ledger import CRASHES
from sweeps.study.paths import StudyPaths
from sweeps.sweep_file.keys import Resources
from sweeps.sweep_file.sweep import Sweep
from trainables.trials.ray_trainable import TrialTrainable

_log = logging.getLogger(__name__)
_WITHOUT = "--in-process runs the trials without Ray, one by one."


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our own signal handlers.

    Ray and Tune leave some behind that end the process, or swallow a Ctrl-C, when their own work is long
    done.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def cluster(sweep: Sweep, address: str | None, say: Callable[[str], None]) -> Iterator[None]:
    """Connect to the Ray cluster at ``address``, or start one here for as long as the block runs.

    ``say`` hears what takes its time.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the newer display prints even when told to be silent
    # Tune's own snapshots are never read: the study is the only truth.
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "86400")
    if address and ":" in address:
        _check_reachable(address)
    say("Packing the code of the project and of your factories ...")
    with runtime_env(sweep) as environment:
        say(f"Connecting to Ray at {address} ..." if address else "Starting Ray on this machine ...")
        try:
            with _own_signals():
                ray.init(
                    address=address or "local",
                    runtime_env=environment,
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="error",
                )
        except Exception as error:  # what Ray raises when its start-up times out is a plain Exception
            ray.shutdown()
            what = (
                f"Ray at {address} cannot be reached" if address else "Ray cannot be started on this machine"
            )
            raise SweepError(f"{what}: {_first_line(error)}. {_WITHOUT}", FAILED) from error
        try:
            has = ray.cluster_resources()
            say(
                f"Ray is up, with {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs; "
                "waiting for the first worker ..."
            )
            yield
        finally:
            ray.shutdown()


def run(
    conductor: Conductor, scheduler: TrialScheduler, resources: Resources, paths: StudyPaths, is_local: bool
) -> None:
    """Run trials on Ray until the study is done.

    Raises `SweepError` where this machine (``is_local``) has no room for one.
    """
    shutil.rmtree(paths.ray, ignore_errors=True)
    deaths = Deaths()
    searcher = StudySearcher(conductor, deaths)
    tuner = tune.Tuner(
        tune.with_resources(TrialTrainable, {"cpu": resources.cpus, "gpu": resources.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            # The searcher ends the sweep, not a number. It also hands a dead worker's trial out again:
            # Tune's own retries give up a trial whose worker dies while it is between two trials.
            num_samples=10**9,
            # On a cluster that may grow, Tune asks for one trial more than there is room for.
            max_concurrent_trials=_room(resources) if is_local else resources.concurrent,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=paths.ray.name,
            storage_path=str(paths.ray.parent.resolve()),
            verbose=0,
            callbacks=[deaths],
        ),
    )
    if not is_local:
        _say_if_nothing_fits(resources)
    with _own_signals():
        tuner.fit()
    if searcher.error:
        raise searcher.error


def _check_reachable(address: str) -> None:
    """Check that something listens at the address.

    Ray itself waits for minutes on an address where nobody listens, printing all the while.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        sentence = f"--address {address}: no Ray cluster answers there: {_first_line(error)}. {_WITHOUT}"
        raise SweepError(sentence, FAILED) from error


def _room(resources: Resources) -> int:
    """Return how many trials this machine holds at once. Raises `SweepError` where there is room for none."""
    room = _most_at_once(resources)
    if room < 1:
        total = ray.cluster_resources()
        raise SweepError(
            f"resources: a trial wants {resources.cpus} CPUs and {resources.gpus:g} GPUs; "
            f"this machine has {total.get('CPU', 0):g} and {total.get('GPU', 0):g}."
        )
    return room


def _most_at_once(resources: Resources) -> int:
    """Return how many trials the cluster has room for as it is, and the sweep allows."""
    total = ray.cluster_resources()
    room = floor(total.get("CPU", 0) / resources.cpus)
    if resources.gpus:
        room = min(room, floor(total.get("GPU", 0) / resources.gpus))
    return min(room, resources.concurrent or room)


def _say_if_nothing_fits(resources: Resources) -> None:
    """Warn where no node has room for a trial.

    A cluster may grow, so that waiting is right, but not in silence.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(n.get("CPU", 0) >= resources.cpus and n.get("GPU", 0) >= resources.gpus for n in nodes):
        wanted = f"{resources.cpus} CPUs and {resources.gpus:g} GPUs"
        _log.warning(
            "No node of the cluster has %s for a trial now; the study waits until one joins.", wanted
        )


def call(function: Any, resources: Resources, *arguments: Any) -> Any:
    """Call a function on a worker of the cluster and wait for its answer."""
    remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(function)
    try:
        return ray.get(remote.remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # the remote traceback is in the worker's log


def side_by_side(function: Any, resources: Resources, *arguments: Any) -> None:
    """Call a function on as many workers as the cluster has room for, and wait until all have ended.

    What it raises is left to who calls it next.
    """
    remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(function)
    with suppress(ray.exceptions.RayError):
        ray.get([remote.remote(*arguments) for _ in range(_most_at_once(resources))])


class _Kept:
    """A process of the cluster that keeps between calls what it has in memory."""

    def call(self, function: Any, *arguments: Any) -> Any:
        """Call a function there."""
        return function(*arguments)


@contextmanager
def worker(resources: Resources) -> Iterator[Callable[..., Any]]:
    """Hold one worker of the cluster for the length of the block; yields what calls a function there.

    One that dies is replaced, as often as a trial's workers are. Raises `SweepError` after that.
    """
    kind = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_Kept)
    held = [kind.remote()]

    def call(function: Any, *arguments: Any) -> Any:
        for deaths in range(1, CRASHES[True] + 2):
            try:
                return ray.get(held[-1].call.remote(function, *arguments))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None  # the remote traceback is in the worker's log
            except ray.exceptions.RayActorError:
                time.sleep(pause(deaths, out_of_memory=False))
                held.append(kind.remote())
        raise SweepError(f"screening: {reason(out_of_memory=False)}.", FAILED)

    try:
        yield call
    finally:
        ray.kill(held[-1])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
