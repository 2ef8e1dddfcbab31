"""The signature of a thinking block: what it was bound to, sealed with a key of the emulator.

The real format is not public. Ours says who may read the block (organization, model group), which
conversation it was created in, which thinking block came before it, and how many tokens the raw
thinking had, so that a block whose text is left out still weighs what it weighs (API facts, 6.5).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from hashlib import blake2b, sha256

__all__ = ["Binding", "Signer", "short_digest", "thinking_tokens"]

_MAGIC = b"\x12\xa8emu1"
_LAYOUT = struct.Struct(">6s I 8s 8s 16s 8s")
_SEAL = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a thinking block was bound to when it was written."""

    tokens: int
    organization: bytes
    readers: bytes
    prefix: bytes
    before: bytes


def short_digest(text: str) -> bytes:
    """Eight bytes that stand for a name."""
    return blake2b(text.encode(), digest_size=8).digest()


def _decode(signature: str) -> tuple[Binding, bytes, bytes] | None:
    try:
        data = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) != _LAYOUT.size + _SEAL or not data.startswith(_MAGIC):
        return None
    head, seal = data[: _LAYOUT.size], data[_LAYOUT.size :]
    _, tokens, organization, readers, prefix, before = _LAYOUT.unpack(head)
    binding = Binding(
        tokens=tokens, organization=organization, readers=readers, prefix=prefix, before=before
    )
    return binding, head, seal


def thinking_tokens(signature: str) -> int | None:
    """The raw length a signature of ours carries; none for a foreign one."""
    decoded = _decode(signature)
    return decoded[0].tokens if decoded else None


class Signer:
    """Seals and opens signatures."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, binding: Binding, text: str) -> str:
        """The signature of a thinking text."""
        head = _LAYOUT.pack(
            _MAGIC,
            binding.tokens,
            binding.organization,
            binding.readers,
            binding.prefix,
            binding.before,
        )
        return base64.b64encode(head + self._seal(head, text)).decode()

    def open(self, signature: str, text: str) -> Binding | None:
        """The binding of a signature, or none if it is foreign or the text was changed."""
        decoded = _decode(signature)
        if decoded is None:
            return None
        binding, head, seal = decoded
        return binding if hmac.compare_digest(seal, self._seal(head, text)) else None

    def _seal(self, head: bytes, text: str) -> bytes:
        return hmac.new(self._key, head + text.encode("utf-8", "surrogatepass"), sha256).digest()[
            :_SEAL
        ]
