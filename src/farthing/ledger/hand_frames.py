"""What a ledger and the process that writes for it say to one another.

A frame is its length (four bytes, big-endian) and so many bytes. To the child goes a batch, as
lines of the journal; back comes one ``Reply`` in JSON. One frame is under way at a time.
"""

from __future__ import annotations

from typing import IO, Final

import msgspec

__all__ = ["Remark", "Reply", "dump_reply", "parse_reply", "read_frame", "write_frame"]

_HEAD_BYTES: Final = 4


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """A line for the log, which is the ledger's process's to write."""

    logger: str
    level: int
    text: str
    facts: dict[str, str | int | None] = {}


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a batch went."""

    #: None: it is in the database
    fault: str | None = None
    #: a mistake of farthing's, not of the storage
    is_ours: bool = False
    remarks: tuple[Remark, ...] = ()


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Reply)


def dump_reply(reply: Reply) -> bytes:
    """A reply as the bytes of a frame."""
    return _encoder.encode(reply)


def parse_reply(data: bytes) -> Reply:
    """The reply that a frame holds; ``msgspec.MsgspecError`` if it holds none."""
    return _decoder.decode(data)


def write_frame(file: IO[bytes], data: bytes) -> None:
    """Write all of a frame; ``OSError`` where nobody reads any more."""
    rest = memoryview(len(data).to_bytes(_HEAD_BYTES, "big") + data)
    while rest:
        rest = rest[file.write(rest) :]


def read_frame(file: IO[bytes]) -> bytes | None:
    """The next frame; None where the other side has ended, be it in the middle of one."""
    head = _read(file, _HEAD_BYTES)
    return None if head is None else _read(file, int.from_bytes(head, "big"))


def _read(file: IO[bytes], count: int) -> bytes | None:
    pieces = list[bytes]()
    while count:
        piece = file.read(count)
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
