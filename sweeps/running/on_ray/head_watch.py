"""A watch on the cluster's head: when it is lost, the driver ends with a sentence, not with Ray's words."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sweeps.errors import FAILED

PATIENCE = 45.0
"""Seconds without an answer after which the head counts as lost; Ray ends the process by itself after 60."""
_EVERY = 3.0


@contextmanager
def watched(address: str, study: str) -> Iterator[None]:
    """Watch the head at ``address``, host and port, for the length of the block.

    Where it is lost this very process ends: the calls into Ray that it waits in never come back. What had
    ended by then is recorded, and what was under way goes on from the store.
    """
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(address, study, ended), name="head watch", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(address: str, study: str, ended: threading.Event) -> None:
    heard = time.monotonic()
    while not ended.wait(_EVERY):
        if _answers(address):
            heard = time.monotonic()
        elif time.monotonic() - heard > PATIENCE and not ended.is_set():
            sys.stderr.write(
                f"tombola: the head of the Ray cluster at {address} has not answered for {PATIENCE:.0f} s. "
                f"Nothing that had ended is lost: when a cluster is up again, go on with `tombola resume "
                f"{study}` and its --address.\n"
            )
            sys.stderr.flush()
            os._exit(FAILED)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_EVERY).close()
    except OSError:
        return False
    return True
