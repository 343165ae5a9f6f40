"""The connection to a Ray cluster: one that is already up, or one that is started on this machine."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray

from sweeps.errors import FAILED, SweepError
from sweeps.running.on_ray.runtime_env import runtime_env
from sweeps.running.on_ray.signals import own_signals
from sweeps.sweep_file.sweep import Sweep

_WITHOUT = "--in-process runs the trials without Ray, one by one."


@contextmanager
def cluster(sweep: Sweep, address: str | None, say: Callable[[str], None]) -> Iterator[None]:
    """Connect to the Ray cluster at ``address``, or start one here for as long as the block runs.

    ``say`` hears what takes its time.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the newer display prints even when told to be silent
    # The searcher says how many trials there shall be, not Tune.
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(10**6))
    # A job that was submitted with a working_dir has what it needs in the one that is packed here.
    os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
    # Tune's own snapshots are never read: the study is the only truth.
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "86400")
    if address and ":" in address:
        _check_reachable(address)
    say("Packing the code of the project and of your factories ...")
    with runtime_env(sweep) as environment:
        say(f"Connecting to Ray at {address} ..." if address else "Starting Ray on this machine ...")
        try:
            with own_signals(), _rays_words_dropped() if address else nullcontext():
                ray.init(
                    address=address or "local",
                    runtime_env=environment,
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="error",
                )
        except Exception as error:  # what Ray raises when its start-up times out is a plain Exception
            ray.shutdown()
            raise SweepError(f"{_why_not(address, error)} {_WITHOUT}", FAILED) from error
        try:
            has = ray.cluster_resources()
            say(
                f"Ray is up, with {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs; "
                "waiting for the first worker ..."
            )
            yield
        finally:
            ray.shutdown()


@contextmanager
def _rays_words_dropped() -> Iterator[None]:
    """Drop what Ray's C++ writes to stderr while it tries: the exception that follows says it once."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _why_not(address: str | None, error: Exception) -> str:
    """Say why there is no Ray: at an address where something answered, most often for want of the token."""
    if not address:
        return f"Ray cannot be started on this machine: {_first_line(error)}."
    if not isinstance(error, ConnectionError) or ":" not in address:
        return f"Ray at {address} cannot be reached: {_first_line(error)}."
    mode = "is token" if os.environ.get("RAY_AUTH_MODE") == "token" else "is not token"
    return (
        f"Ray at {address} answers and does not let this command in. Most often its token is another: "
        f"RAY_AUTH_MODE {mode} here, and the cluster's token belongs in ~/.ray/auth_token. "
        "Or it is no Ray, or Ray of another version."
    )


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
