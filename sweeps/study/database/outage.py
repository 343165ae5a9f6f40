"""Tell a database that is away, and comes back, from one that refuses what it is asked."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def outage(error: BaseException) -> str | None:
    """Return why the database cannot be reached, where that is what the error says; None for any other.

    A server that restarts, is full or is cut off may be back in a moment; a file cannot be away.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DBAPIError) and _is_lost(seen):
            return first_line(seen)
        if reason := _of_proxy(seen):
            return reason
        seen = seen.__cause__ or seen.__context__
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of what the database itself says."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0].rstrip(".")


def _is_lost(error: DBAPIError) -> bool:
    """Tell whether the server is away, or has ended the connection, whatever it then calls the error."""
    is_of_a_file = type(error.orig).__module__.startswith("sqlite3")
    return not is_of_a_file and (
        isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    )


def _of_proxy(error: BaseException) -> str | None:
    """Return what a gRPC error says of a proxy that is away, or that says that its database is."""
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    if not (callable(code) and callable(details)):
        return None
    name, said = getattr(code(), "name", ""), str(details())
    is_away = name in _AWAY or (name == "UNKNOWN" and ("OperationalError" in said or "commit" in said))
    return (said.strip().splitlines() or [name])[0].rstrip(".") if is_away else None
