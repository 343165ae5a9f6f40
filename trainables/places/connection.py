"""The way to an object store, as the environment tells it: server, credentials, patience of one request."""

import importlib.util
import os
from datetime import timedelta
from typing import Any

from trainables.errors import StoreError
from trainables.places.answers import reason

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for AWS's own files",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
"""Where the credentials of each kind of store are looked for, for people."""
SCHEMES = tuple(CREDENTIALS)


def server_of(url: str) -> str:
    """Say which server is asked for a bucket, where the environment names one."""
    return f" at {_address()}" if url.startswith("s3://") and _address() else ""


def connected(url: str) -> Any:
    """Connect to a bucket, of which nothing is asked yet. Raises `StoreError`."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store, from_url
    except ImportError as error:
        raise StoreError(f"{url} needs the package obstore: pip install 'tombola[s3]'.") from error
    scheme, _, name = url.partition("://")
    options: dict[str, Any] = {
        "client_options": {
            "allow_http": _address().startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=30),
            "timeout": timedelta(hours=1),  # of a whole request: a network may be large and a line slow
        },
        # one that is soon over; the longer waiting is ours, which a person can interrupt
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=5)},
    }
    try:
        if scheme != "s3":
            return from_url(url, **options)
        return S3Store(name, **options, **_aws_credentials())
    except (BaseError, ValueError) as error:
        raise StoreError(f"{url} cannot be used: {reason(error)}.") from error


def _aws_credentials() -> dict[str, Any]:
    """Return what finds credentials in AWS's own files, where the environment names none."""
    if "AWS_ACCESS_KEY_ID" in os.environ or importlib.util.find_spec("boto3") is None:
        return {}
    from boto3 import Session
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = Session()
    if session.get_credentials() is None:
        return {}
    return {"credential_provider": Boto3CredentialProvider(session)}


def _address() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
