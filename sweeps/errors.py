"""What a person did that cannot work, and the exit code that says so."""

FAILED, USAGE, INFEASIBLE, TOO_MANY_FAILED, INTERRUPTED = 1, 2, 3, 4, 130


class SweepError(Exception):
    """One or two sentences for the person at the terminal; the command prints them and exits with ``exit_code``."""

    def __init__(self, message: str, exit_code: int = USAGE):
        super().__init__(message)
        self.exit_code = exit_code
