"""Virtual keys in memory and in the ledger's file: ``driver.keys.KeyStore`` twice.

Theory of operation. A change is one small transaction through a connection of its own, so a command
changes keys while a gateway has the ledger open; SQLite's lock makes them take turns. Triggers
count the changes, and a gateway reads that one number to know whether to read more; another refuses
to delete.

A key's change is synced to disk, unlike a row's: a revocation may not come back with the power.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Final

import msgspec

from farthing.core.keys import VirtualKey
from farthing.ledger.database import open_writer
from farthing.ledger.faults import translated

__all__ = ["MemoryKeys", "SqliteKeys"]

_CHANGES: Final = "SELECT count FROM key_changes"
_KEYS: Final = "SELECT body FROM virtual_keys ORDER BY place"
_ADD: Final = (
    "INSERT INTO virtual_keys (key_id, name, version, body) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
_CHANGE: Final = "UPDATE virtual_keys SET version = ?, body = ? WHERE key_id = ? AND version = ?"

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(VirtualKey)


class MemoryKeys:
    """Keys that live as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, VirtualKey] = {}
        self._changes = 0

    def changes(self) -> int:
        """How often anything was changed."""
        return self._changes

    def listed(self) -> list[VirtualKey]:
        """All of them, in the order they were made."""
        with self._lock:
            return list(self._keys.values())

    def add(self, key: VirtualKey) -> bool:
        """Keep a new one; False where its name or id is taken."""
        with self._lock:
            if key.key_id in self._keys or any(k.name == key.name for k in self._keys.values()):
                return False
            self._keys[key.key_id] = key
            self._changes += 1
            return True

    def change(self, key: VirtualKey) -> bool:
        """Keep a later version; False where the one on record is not the version before."""
        with self._lock:
            found = self._keys.get(key.key_id)
            if found is None or found.version != key.version - 1:
                return False
            self._keys[key.key_id] = key
            self._changes += 1
            return True

    def close(self) -> None:
        """Nothing to let go of."""


class SqliteKeys:
    """Keys in the ledger's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_writer(path)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._lock = threading.Lock()  # one connection is shared by threads

    def changes(self) -> int:
        """How often anything was changed, by whomever."""
        with self._lock, translated(self._path):
            (count,) = self._connection.execute(_CHANGES).fetchone()
        return int(count)

    def listed(self) -> list[VirtualKey]:
        """All of them, in the order they were made."""
        with self._lock, translated(self._path):
            found = self._connection.execute(_KEYS).fetchall()
        return [_decoder.decode(body) for (body,) in found]

    def add(self, key: VirtualKey) -> bool:
        """Keep a new one; False where its name or id is taken."""
        body = _encode(key).decode()
        return self._done(_ADD, (key.key_id, key.name, key.version, body))

    def change(self, key: VirtualKey) -> bool:
        """Keep a later version; False where the one on record is not the version before."""
        body = _encode(key).decode()
        return self._done(_CHANGE, (key.version, body, key.key_id, key.version - 1))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _done(self, text: str, values: tuple[object, ...]) -> bool:
        with self._lock, translated(self._path):
            cursor: sqlite3.Cursor = self._connection.execute(text, values)
            return cursor.rowcount == 1
