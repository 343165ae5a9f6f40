"""Whether W&B is spoken to, written for later, or left alone."""

import logging
import netrc
import os
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

import wandb
from pydantic import ValidationError

from sweeps.errors import SweepError

Mode = Literal["online", "offline", "disabled"]

_log = logging.getLogger(__name__)


def choose_mode(wanted: Mode | None = None) -> Mode:
    """Return the mode of W&B's runs: online, offline or disabled.

    It is the environment's ``WANDB_MODE``, else ``wanted``, else what ``wandb offline`` or ``wandb disabled``
    has set, else online where an API key is configured, else offline.

    Nobody is ever asked for a key: online without one becomes offline, with a warning.

    Raises:
        SweepError: ``WANDB_MODE`` is none of online, offline and disabled, or another of wandb's variables
        has a wrong value.
    """
    chosen = os.environ.get("WANDB_MODE", wanted)
    if chosen is None:
        held = _settings().mode
        if held == "offline" or held == "disabled":
            return held
        return "online" if _has_key() else "offline"
    if chosen not in get_args(Mode):
        raise SweepError(f"WANDB_MODE is {chosen!r}; it must be online, offline or disabled.")
    if chosen == "online" and not _has_key():
        _log.warning("W&B has no API key here (`wandb login` stores one), so the study goes on offline.")
        return "offline"
    return cast(Mode, chosen)


def quiet() -> wandb.Settings:
    """Return settings that keep wandb off the terminal."""
    return wandb.Settings(silent=True, console="off")


def _settings() -> wandb.Settings:
    try:
        return wandb.setup(settings=quiet()).settings
    except ValidationError as error:
        wrong = error.errors()[0]
        raise SweepError(
            f"W&B's setting {wrong['loc'][0]} ({wrong['input']!r}) is wrong: {wrong['msg']}."
        ) from None


def _has_key() -> bool:
    settings = _settings()
    if settings.api_key or settings.identity_token_file:
        return True
    try:
        logins = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return logins.authenticators(urlsplit(settings.base_url).netloc) is not None
