"""Identifiers that look like the provider's and are the same in every run of one seed."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["IdSource", "spell_id"]

_ALPHABET = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_LETTERS = bytes(_ALPHABET[code % len(_ALPHABET)] for code in range(256))


def spell_id(prefix: str, seed: str, length: int = 22) -> str:
    """An identifier that depends on the seed only."""
    digest = blake2b(seed.encode(), digest_size=length).digest()
    return f"{prefix}01{digest.translate(_LETTERS).decode()}"


class IdSource:
    """Counts, so that no two identifiers of an emulator are equal."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def next(self, prefix: str) -> str:
        """The next identifier with a prefix such as ``msg_``."""
        self._count += 1
        return spell_id(prefix, f"{self._seed}/{self._count}")
