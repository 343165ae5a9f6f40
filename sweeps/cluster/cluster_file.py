"""The YAML file of ``ray up``: where its cluster's head is, and how SSH reaches it."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sweeps.errors import FAILED, SweepError

TO_FILL_IN = "FILL-IN"
"""Stands in a shipped file where only its user knows what belongs there."""


@dataclass(frozen=True)
class HeadAddress:
    """Where a cluster's head is, and as whom SSH logs in there."""

    address: str
    user: str
    key: str | None
    proxy_command: str | None


def find_head(path: Path) -> HeadAddress:
    """Find the head of the cluster that ``ray up path`` started.

    Raises `SweepError` where the file cannot be read or is not filled in, or its cluster is not up.
    """
    config = read(path)
    with _ray_is_silent():
        from ray.autoscaler import sdk  # boto3 and its like come with it

        try:
            whole = sdk.bootstrap_config(config)
            address = sdk.get_head_node_ip(whole)
        except (Exception, SystemExit) as error:  # each provider has its own, and some end the process
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise SweepError(
                f"{path}: its cluster cannot be reached: {first}. `ray up {path}` starts it.", FAILED
            ) from error
    auth = whole["auth"]
    return HeadAddress(address, auth["ssh_user"], auth.get("ssh_private_key"), auth.get("ssh_proxy_command"))


def read(path: Path) -> dict[str, Any]:
    """Read a cluster's file.

    Raises `SweepError` where there is none, it is no YAML of a cluster, or not filled in yet.
    """
    try:
        text = path.read_text()
        config = yaml.safe_load(text)
    except OSError as error:
        raise SweepError(f"--cluster {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SweepError(f"--cluster {path}: no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(config, dict) or not {"cluster_name", "provider"} <= config.keys():
        raise SweepError(f"--cluster {path}: no file of `ray up`: it needs cluster_name and provider.")
    for number, line in enumerate(text.splitlines(), 1):
        if TO_FILL_IN in line.partition("#")[0]:
            raise SweepError(f"{path}, line {number}: {TO_FILL_IN} is still there; write what belongs there.")
    return config


@contextlib.contextmanager
def _ray_is_silent() -> Iterator[None]:
    """Keep Ray's progress words off the terminal, which is for the command's own answer."""
    logging.disable(logging.CRITICAL)
    try:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)
