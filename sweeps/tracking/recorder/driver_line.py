"""The line to the driver: a byte wakes the recorder, its closing ends it, and states go back."""

import json
import sys
import threading
from collections.abc import Mapping
from typing import Any


class DriverLine:
    """Standard input and output, to a driver that may be gone.

    ``closes``: the driver ends and waits a little. ``is_gone``: nobody waits any more.
    """

    def __init__(self) -> None:
        self.closes = self.is_gone = False
        self._woken = threading.Event()
        self._told: Mapping[str, Any] = {}
        self._out, sys.stdout = sys.stdout, sys.stderr  # where wandb prints what it likes
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Wait until the driver has something to say, at most so long."""
        self._woken.wait(seconds)
        self._woken.clear()

    def tell(self, state: Mapping[str, Any]) -> None:
        """Tell the driver how things stand, where that has changed."""
        if state != self._told and not self.is_gone:
            self._told = state
            try:
                print(json.dumps(state), file=self._out, flush=True)
            except OSError:
                self.is_gone = True

    def _listen(self) -> None:
        for line in sys.stdin:
            self.closes = self.closes or line.strip() == "close"
            self._woken.set()
        self.is_gone = True
        self._woken.set()
