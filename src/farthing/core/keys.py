"""A virtual key as a value: whose it is, what it may, and how its secret is known again.

Theory of operation. The text ``sk-farthing-<key id>-<secret>`` is shown once. Its id is no secret:
it says which record to compare with. Of the rest only a digest is kept, HMAC-SHA256 under a salt of
its own. A slow hash would protect secrets that can be guessed; this one has 256 random bits, and it
is checked on every call (ADR 0029).

A key's name is used once, for ever: it is the key's scope in rows, budgets and rules. So a name may
not look like the digest of a client's own key, which is the scope of calls without a virtual one.

Rules of this file: no clock, no randomness; ``repr`` shows neither digest nor salt.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from farthing.core.levers import matching
from farthing.errors import ConfigError

__all__ = [
    "PREFIX",
    "ROLES",
    "KeySecret",
    "Role",
    "VirtualKey",
    "check_lever_patterns",
    "check_model_patterns",
    "check_name",
    "digest_of",
    "key_text",
    "split_key",
]

PREFIX: Final = "sk-farthing-"
Role = Literal["client", "viewer", "admin"]
ROLES: Final[tuple[Role, ...]] = ("client", "viewer", "admin")

_TEXT: Final = re.compile(r"sk-farthing-([0-9a-f]{12})-([A-Za-z0-9_-]{43})")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIGEST_LIKE: Final = re.compile(r"[0-9a-f]{32}")
_MODEL: Final = re.compile(r"[\w.:@/-]{1,120}\*?", re.ASCII)


class KeySecret(msgspec.Struct, frozen=True, kw_only=True):
    """What rests of one secret."""

    salt: bytes
    digest: bytes
    #: a secret that was rotated away is accepted until then
    until: datetime | None = None

    def __repr__(self) -> str:
        return f"<KeySecret until {self.until}>"


class VirtualKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as it is kept; it is never deleted, so that its rows can always be explained."""

    key_id: str
    name: str
    role: Role
    #: the present one first
    secrets: tuple[KeySecret, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    #: model ids, or beginnings that end in ``*``; None: every model
    models: tuple[str, ...] | None = None
    #: levers that may act on its calls, families as ``cache.*``; None: what the policy says
    levers: tuple[str, ...] | None = None
    #: how often it was changed; two changes of the same state cannot both succeed
    version: int = 1

    @property
    def lever_ids(self) -> frozenset[str] | None:
        """The levers that may act; None: no limit of this key's."""
        if self.levers is None:
            return None
        return frozenset[str]().union(*(matching(pattern) for pattern in self.levers))

    def allows_model(self, model: str) -> bool:
        """May its calls name this model?"""
        if self.models is None:
            return True
        return any(
            model.startswith(one[:-1]) if one.endswith("*") else model == one for one in self.models
        )

    def state_at(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Can it be used?"""
        if self.revoked_at is not None:
            return "revoked"
        is_over = self.expires_at is not None and now >= self.expires_at
        return "expired" if is_over else "active"


def key_text(key_id: str, secret: str) -> str:
    """The key as it is shown, once."""
    text = f"{PREFIX}{key_id}-{secret}"
    assert _TEXT.fullmatch(text), "a key id is 12 hex digits, a secret 32 bytes in base64url"
    return text


def split_key(text: str) -> tuple[str, bytes] | None:
    """The id and the secret in a key; None where the text is no virtual key."""
    found = _TEXT.fullmatch(text)
    return None if found is None else (found[1], found[2].encode())


def digest_of(secret: bytes, salt: bytes) -> bytes:
    """What is kept of a secret."""
    return hmac.digest(salt, secret, hashlib.sha256)


def check_name(name: str) -> str:
    """The name, if a key may be called so."""
    if _NAME.fullmatch(name) is None or _DIGEST_LIKE.fullmatch(name):
        raise ConfigError(
            f"a key cannot be called {name[:80]!r}: take 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "such as ci-nightly, and not 32 hex digits"
        )
    return name


def check_model_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns, if each is a model id or the beginning of some."""
    found = tuple(patterns)
    for pattern in found:
        if _MODEL.fullmatch(pattern) is None:
            raise ConfigError(f"{pattern[:80]!r} is no model; write an id, or claude-haiku-*")
    return found


def check_lever_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """The patterns, if each names a lever."""
    found = tuple(patterns)
    for pattern in found:
        if not matching(pattern):
            raise ConfigError(f"{pattern[:80]!r} names no lever; docs/levers.md lists them")
    return found
