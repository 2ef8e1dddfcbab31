"""A served message on the wire: one JSON body, or a stream of events."""

from __future__ import annotations

import msgspec

from farthing.lab.emulator.reply import Piece, Reply
from farthing.lab.emulator.serving import Served
from farthing.lab.emulator.stream import stream_pieces

__all__ = ["message_reply"]


def message_reply(served: Served) -> Reply:
    """The reply in the form the request asked for."""
    return _streamed(served) if served.streamed else _whole(served)


def _streamed(served: Served) -> Reply:
    pieces = stream_pieces(
        served.message,
        served.bill,
        served.fault,
        first_byte=served.first_byte,
        duration=served.duration,
    )
    headers = {
        **_timing(served),
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
    }
    return Reply(status=200, headers=headers, pieces=pieces)


def _whole(served: Served) -> Reply:
    data = msgspec.json.encode(served.message)
    at = served.first_byte + served.duration
    headers = {
        **_timing(served),
        "content-type": "application/json",
        "content-length": str(len(data)),
    }
    if served.fault.cut is not None:
        pieces = (Piece(data=data[: len(data) // 2], at=at), Piece(data=b"", at=at, breaks=True))
        return Reply(status=200, headers=headers, pieces=pieces)
    return Reply(status=200, headers=headers, pieces=(Piece(data=data, at=at),))


def _timing(served: Served) -> dict[str, str]:
    """Virtual durations, so that a test can read them without a watch."""
    return {
        **served.headers,
        "x-emulator-first-byte-seconds": f"{served.first_byte:.6f}",
        "x-emulator-duration-seconds": f"{served.first_byte + served.duration:.6f}",
    }
