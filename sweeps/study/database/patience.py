"""Wait for a database that is away while a sweep runs, and say so."""

import time
from collections.abc import Callable
from typing import TypeVar

from sweeps.study.database.outage import outage

_LONGEST = 60.0
_Answer = TypeVar("_Answer")


class Patience:
    """Does with the database called ``shown`` what is asked, however long that is away; ``say`` tells it."""

    def __init__(self, shown: str, say: Callable[[str], None]):
        self._shown = shown
        self._say = say

    def insist(self, action: Callable[[], _Answer], again: Callable[[], _Answer] | None = None) -> _Answer:
        """Return what ``action`` returns; after an outage try ``again``, in its place where it is given.

        ``again`` is for an action that must not be done twice: the outage may have cut off only the answer.
        """
        tried, pause = action, 1.0
        while True:
            try:
                answer = tried()
            except Exception as error:
                reason = outage(error)
                if reason is None:
                    raise
                self._say(
                    f"The study's database {self._shown} is away: {reason}. "
                    f"Trials go on; trying again in {pause:.0f} s."
                )
                time.sleep(pause)
                tried, pause = again or action, min(_LONGEST, 2 * pause)
            else:
                if pause > 1.0:
                    self._say(f"The study's database {self._shown} is back.")
                return answer


NONE_NEEDED = Patience("", lambda _: None)
"""For a journal, which is never away."""
