"""What a person did that cannot work, and the exit code that says so."""

FAILED, USAGE, INFEASIBLE, TOO_MANY_FAILED, INTERRUPTED = 1, 2, 3, 4, 130


class SweepError(Exception):
    """One or two sentences for the person at the terminal.

    The command prints them and exits with ``exit_code``.
    """

    def __init__(self, message: str, exit_code: int = USAGE):
        super().__init__(message)
        self.exit_code = exit_code


class Incompatible(SweepError):
    """Values that are sound each by itself and do not go together: a draw of them is infeasible.

    ``reason`` is the message without its place.
    """

    def __init__(self, place: str, reason: str):
        super().__init__(f"{place}: {reason}")
        self.reason = reason
