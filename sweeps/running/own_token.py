"""A token for the Ray that a run starts on its own machine."""

import os
import secrets
import sys


def guard_own_ray() -> None:
    """Have a Ray that this process starts let in nobody who lacks a token made here.

    Ray listens on all interfaces of the machine, and runs the code of whoever reaches it. It reads its
    settings when it is imported: where that has happened, or somebody has settled it, they stay.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
