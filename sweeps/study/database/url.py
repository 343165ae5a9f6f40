"""The URL of a study's database: its password comes from the environment and is never shown."""

import os
import re
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from sweeps.errors import SweepError

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PASSWORD = re.compile(r"(?<=:)\S*(?=@)|(?<=password=)[^&]*")  # in a text that may be no URL: rather too much
_SECRETS = ("password", "passwd", "sslpassword")
"""What drivers call passwords that stand behind a URL's question mark."""


def parse(url: str) -> URL:
    """Read a URL as it is written. Raises `SweepError` where it is none."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SweepError(
            f"storage.study: {_PASSWORD.sub('***', url)!r} is no database URL, "
            "as sqlite:///study.db, postgresql+psycopg://user@host/name or grpc://host:13000."
        ) from error


def from_environment(url: str) -> URL:
    """Read a URL with every ``${NAME}`` in it replaced by that variable of the environment.

    Raises `SweepError` where there is no such variable.
    """
    missing = [name for name in _VARIABLE.findall(url) if name not in os.environ]
    if missing:
        raise SweepError(f"storage.study: {without_password(url)}: the environment has no {missing[0]}.")
    return parse(_VARIABLE.sub(lambda found: quote(os.environ[found[1]], safe=""), url))


def holds_password(url: str) -> bool:
    """Tell whether a password stands in the URL itself, not as ``${NAME}``."""
    return parse(url) != parse(without_password(url))


def without_password(url: str) -> str:
    """Return the URL as it may be written and shown; a ``${NAME}`` in place of the password stays."""
    whole = parse(url)
    password = whole.password if _VARIABLE.fullmatch(str(whole.password or "")) else None
    bare = URL.create(
        whole.drivername, whole.username, password, whole.host, whole.port, whole.database, whole.query
    )
    secrets = [name for name in _SECRETS if not _VARIABLE.fullmatch(str(whole.query.get(name)))]
    shown = bare.difference_update_query(secrets).render_as_string(hide_password=False)
    for found in _VARIABLE.finditer(url):
        shown = shown.replace(quote(found[0], safe=""), found[0])
    return shown
