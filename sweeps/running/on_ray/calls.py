"""Calls of a function on workers of the cluster, outside any trial of Tune's."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray

from sweeps.errors import FAILED, SweepError
from sweeps.running.on_ray import room
from sweeps.running.retries import kind_of, pause, reason
from sweeps.study.rows.death import OUTLIVED
from sweeps.sweep_file.keys import Resources


def call(function: Any, resources: Resources, *arguments: Any) -> Any:
    """Call a function on a worker of the cluster and wait for its answer.

    Raises `SweepError` where the worker dies, as often as Ray tries again.
    """
    remote = ray.remote(max_retries=int(OUTLIVED["crashed"]), **room.options(resources))(function)
    try:
        return ray.get(remote.remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # the remote traceback is in the worker's log
    except ray.exceptions.RayError as error:
        raise SweepError(f"reading test: {reason(kind_of(str(error)))}.", FAILED) from error


def side_by_side(function: Any, resources: Resources, *arguments: Any) -> None:
    """Call a function on as many workers as the cluster has room for, and wait until all have ended.

    What it raises is left to who calls it next.
    """
    remote = ray.remote(**room.options(resources))(function)
    with suppress(ray.exceptions.RayError):
        ray.get([remote.remote(*arguments) for _ in range(room.now(resources))])


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
    kind = ray.remote(**room.options(resources))(_Kept)
    held = [kind.remote()]

    def call(function: Any, *arguments: Any) -> Any:
        for deaths in range(1, int(OUTLIVED["crashed"]) + 2):
            try:
                return ray.get(held[-1].call.remote(function, *arguments))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None  # the remote traceback is in the worker's log
            except ray.exceptions.RayActorError:
                time.sleep(pause(deaths, "crashed"))
                held.append(kind.remote())
        raise SweepError(f"screening: {reason('crashed')}.", FAILED)

    try:
        yield call
    finally:
        ray.kill(held[-1])
