"""Where an installation keeps its ledger, and the key of its digests beside it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from farthing.config import Settings
from farthing.errors import ConfigError
from farthing.ledger.place import default_ledger, first_ledger

__all__ = ["existing_key", "install_key", "ledger_path"]

_KEY_BYTES: Final = 32


def ledger_path(settings: Settings) -> Path:
    """Where this process keeps its rows."""
    return default_ledger() if settings.ledger is None else Path(settings.ledger)


def existing_key(ledger: Path) -> bytes:
    """The installation's key, for who only reads; ``ConfigError`` where there is none."""
    path = _key_path(ledger)
    if not path.is_file():
        raise ConfigError(
            f"there is no key file {str(path)!r}: it was made with the ledger and stays beside it; "
            "without it nothing that it sealed can be checked"
        )
    return install_key(ledger)


def install_key(ledger: Path) -> bytes:
    """The key of all digests of this installation: beside the ledger, its owner's only."""
    path = _key_path(ledger)
    try:
        with suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot use the key file {str(path)!r} beside the ledger: {error.strerror}"
        ) from error
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"the key file {str(path)!r} is damaged; remove it: older digests then match no more"
        )
    return key


def _key_path(ledger: Path) -> Path:
    """A ledger beside another (``ledger.2.db``) has that one's key: the same digests in both."""
    own, shared = (path.with_name(f"{path.name}.key") for path in (ledger, first_ledger(ledger)))
    return shared if shared.is_file() and not own.is_file() else own
