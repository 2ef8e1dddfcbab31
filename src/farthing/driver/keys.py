"""Virtual keys made, rotated, revoked and kept at hand: one desk behind the command and the API.

Theory of operation. The store decides by comparing (a name is free or taken, a key is as it was
read or has changed); the desk mints secrets and writes each action into the journal. A gateway
holds all keys in memory as one ``KeyRing`` and asks the store, a few times a second, whether its
count of changes has moved. So whoever changes keys in the ledger's file, in this process or another
one, is heard within a second, and no call waits for a file.

Rules of this file: the text of a key is in ``Issued`` and nowhere else, and not in its ``repr``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec.structs import replace

from farthing.core.access import KeyRing
from farthing.core.journal_chain import Fact, JournalEvent, JournalKind, journal_event
from farthing.core.keys import (
    KeySecret,
    Role,
    VirtualKey,
    check_lever_patterns,
    check_model_patterns,
    check_name,
    digest_of,
    key_text,
)
from farthing.driver.ports import Clock
from farthing.errors import RequestError

__all__ = ["Issued", "KeyConflict", "KeyDesk", "KeyStore", "LiveKeys", "NewKey", "UnknownKey"]

_SALT_BYTES = 16
_SECRET_BYTES = 32
_ID_BYTES = 6


class KeyStore(Protocol):
    """All keys; ``LedgerError`` where they cannot be read or written."""

    def changes(self) -> int:
        """How often anything was changed, by whomever."""

    def listed(self) -> list[VirtualKey]:
        """All of them, in the order they were made."""

    def add(self, key: VirtualKey) -> bool:
        """Keep a new one; False where its name or id is taken."""

    def change(self, key: VirtualKey) -> bool:
        """Keep a later version; False where the one on record is not the version before."""

    def close(self) -> None:
        """Let go of files."""


class KeyConflict(RequestError):
    """The name is taken, or the key was changed by somebody else meanwhile."""

    code = "key.conflict"
    status_hint = 409


class UnknownKey(RequestError):
    """There is no key of that name."""

    code = "key.unknown"
    status_hint = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What somebody asks for."""

    name: str
    role: Role = "client"
    models: Iterable[str] | None = None
    levers: Iterable[str] | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Issued:
    """A key whose text is shown now and never again."""

    key: VirtualKey
    text: str

    def __repr__(self) -> str:
        return f"<Issued {self.key.name}>"


class KeyDesk:
    """Everything that can be done with keys."""

    def __init__(
        self, store: KeyStore, *, record: Callable[[JournalEvent], object], clock: Clock
    ) -> None:
        self._store = store
        self._record = record
        self._clock = clock

    def keys(self) -> list[VirtualKey]:
        """All keys, revoked and expired ones too."""
        return self._store.listed()

    def create(self, wanted: NewKey, *, actor: str) -> Issued:
        """A new key; ``KeyConflict`` where the name was ever used."""
        now = self._clock.now()
        if wanted.expires_at is not None and wanted.expires_at <= now:
            raise KeyConflict(f"the key would have expired already, at {wanted.expires_at}")
        key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        key = VirtualKey(
            key_id=key_id,
            name=check_name(wanted.name),
            role=wanted.role,
            secrets=(_kept(secret),),
            created_at=now,
            expires_at=wanted.expires_at,
            models=None if wanted.models is None else check_model_patterns(wanted.models),
            levers=None if wanted.levers is None else check_lever_patterns(wanted.levers),
        )
        if not self._store.add(key):
            raise KeyConflict(
                f"a key {key.name!r} exists or existed; a name is used once, because rows and "
                "budgets know keys by it: take another, or rotate that one"
            )
        self._note("key.created", key, actor, {"role": key.role, **_limits(key)})
        return Issued(key=key, text=key_text(key_id, secret))

    def rotate(self, name: str, *, actor: str, keep: timedelta = timedelta()) -> Issued:
        """A new secret for a key; the old one is accepted for as long as ``keep`` says."""
        now = self._clock.now()
        key = self._usable(name, now)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        old = (replace(key.secrets[0], until=now + keep),) if keep else ()
        after = replace(key, secrets=(_kept(secret), *old), version=key.version + 1)
        self._change(after)
        self._note("key.rotated", key, actor, {"old_kept_seconds": int(keep.total_seconds())})
        return Issued(key=after, text=key_text(key.key_id, secret))

    def revoke(self, name: str, *, actor: str) -> VirtualKey:
        """End a key for good; revoking it again changes nothing."""
        key = self._known(name)
        if key.revoked_at is not None:
            return key
        after = replace(key, revoked_at=self._clock.now(), version=key.version + 1)
        self._change(after)
        self._note("key.revoked", key, actor, {})
        return after

    def _known(self, name: str) -> VirtualKey:
        for key in self._store.listed():
            if key.name == name:
                return key
        raise UnknownKey(f"there is no key {name[:80]!r}; `farthing keys list` shows all")

    def _usable(self, name: str, now: datetime) -> VirtualKey:
        key = self._known(name)
        state: Literal["active", "expired", "revoked"] = key.state_at(now)
        if state != "active":
            raise KeyConflict(f"the key {name!r} is {state}: make a new one under another name")
        return key

    def _change(self, after: VirtualKey) -> None:
        if not self._store.change(after):
            raise KeyConflict(
                f"the key {after.name!r} was changed by somebody else; look and retry"
            )

    def _note(self, kind: JournalKind, key: VirtualKey, actor: str, facts: dict[str, Fact]) -> None:
        found: dict[str, Fact] = {"key_id": key.key_id, **facts}
        now = self._clock.now()
        self._record(journal_event(kind, now, actor=actor, subject=key.name, facts=found))


def _limits(key: VirtualKey) -> dict[str, Fact]:
    """What a key was made with, for whoever asks later why it may what it may."""
    found: dict[str, Fact] = {}
    if key.models is not None:
        found["models"] = ", ".join(key.models)
    if key.levers is not None:
        found["levers"] = ", ".join(key.levers) or "none"
    if key.expires_at is not None:
        found["expires_at"] = key.expires_at.isoformat()
    return found


class LiveKeys:
    """The keys in force, brought up when they have changed."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._changes = -1
        self.ring = KeyRing()
        self.refresh()

    def refresh(self) -> None:
        """Take over what has changed; ``LedgerError`` where it cannot be read: all stays as is."""
        changes = self._store.changes()
        if changes != self._changes:
            self.ring = KeyRing(self._store.listed())
            self._changes = changes


def _kept(secret: str) -> KeySecret:
    salt = secrets.token_bytes(_SALT_BYTES)
    return KeySecret(salt=salt, digest=digest_of(secret.encode(), salt))
