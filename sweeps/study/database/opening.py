"""Open the database of a study: any that SQLAlchemy knows, or Optuna's gRPC proxy in front of one."""

import warnings
from typing import Any

import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, GrpcStorageProxy, RDBStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from sweeps.errors import FAILED, SweepError
from sweeps.study.database.outage import first_line, outage
from sweeps.study.database.rdb import Database
from sweeps.study.database.url import from_environment, without_password

_PROXY_PORT, _PROXY_SECONDS = 13000, 10.0
_LIBPQ = {"connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
"""A server whose machine is gone answers nothing at all: it counts as away after half a minute."""


def open_database(url: str) -> BaseStorage:
    """Open the study storage at ``url``.

    Raises `SweepError` where it cannot be reached or used, without its password.
    """
    shown, whole = without_password(url), from_environment(url)
    try:
        return _proxy(whole) if whole.drivername == "grpc" else _database(whole)
    except NoSuchModuleError as error:
        raise SweepError(
            f"storage.study: {shown} names a database that SQLAlchemy does not know: {first_line(error)}."
        ) from error
    except ImportError as error:
        extra = "grpc" if whole.drivername == "grpc" else "postgresql"
        raise SweepError(
            f"storage.study: {shown} needs a driver that is not installed; tombola[{extra}] holds "
            f"{'gRPC' if extra == 'grpc' else 'PostgreSQL'}'s."
        ) from error
    except (SQLAlchemyError, ConnectionError, StorageInternalError) as error:
        reason = outage(error) or first_line(error)
        raise SweepError(f"The study's database {shown} cannot be used: {reason}.", FAILED) from error


def disconnect(storage: BaseStorage) -> None:
    """Close the connections to a database that nobody uses just now; who asks it again opens a new one."""
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()


def _database(url: URL) -> Database:
    is_postgresql = url.get_backend_name() == "postgresql"
    by_libpq = is_postgresql and url.get_driver_name() in ("psycopg", "psycopg2")
    storage = Database(
        url.render_as_string(hide_password=False),
        # a connection that the server has closed is replaced before it is used
        engine_kwargs={"pool_pre_ping": True, "connect_args": _LIBPQ if by_libpq else {}},
    )
    if is_postgresql:
        sqlalchemy.event.listen(storage.engine, "connect", _end_paused_transactions)
        storage.engine.dispose()
    return storage


def _end_paused_transactions(connection: Any, _: object) -> None:
    """Have the server end a transaction whose driver was paused in the middle of it, and its locks."""
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
    connection.commit()


def _proxy(url: URL) -> GrpcStorageProxy:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        storage = GrpcStorageProxy(host=url.host or "localhost", port=url.port or _PROXY_PORT)
    try:
        storage.wait_server_ready(_PROXY_SECONDS)
    except ConnectionError as error:
        raise ConnectionError(f"no proxy answers there within {_PROXY_SECONDS:.0f} s") from error
    return storage
