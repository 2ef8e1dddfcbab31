"""A served message as server-sent events, each with the instant it leaves at.

Order and shapes: API facts, section 4.3. Text, tool inputs and thinking are cut into pieces of a
few words, so that a client that assembles them is really tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from farthing.lab.emulator.faults import Fault
from farthing.lab.emulator.reply import Piece
from farthing.lab.emulator.usage import Bill

__all__ = ["encode_event", "stream_pieces"]

_PIECE_CHARS = 48
_PIECES_MAX = 150


def encode_event(name: str, data: dict[str, Any]) -> bytes:
    """One event on the wire."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


def stream_pieces(
    message: dict[str, Any], bill: Bill, fault: Fault, *, first_byte: float, duration: float
) -> Iterator[Piece]:
    """The answer's events, spread evenly over its duration, with what the fault does to them."""
    events = list(_events(message, bill))
    step = max(duration / max(1, len(events) - 1), fault.slow)
    for number, (name, data) in enumerate(events):
        at = first_byte + number * step
        if fault.cut is not None and number >= fault.cut:
            yield Piece(at=at, data=b"", breaks=True)
            return
        if fault.error_event is not None and number >= fault.after:
            error = {"type": fault.error_event, "message": "Overloaded"}
            yield Piece(at=at, data=encode_event("error", {"type": "error", "error": error}))
            return
        yield Piece(at=at, data=encode_event(name, data))


def _events(message: dict[str, Any], bill: Bill) -> Iterator[tuple[str, dict[str, Any]]]:
    begun = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": bill.at_start(),
    }
    for late in ("context_management", "stop_details"):
        begun.pop(late, None)
    yield _event("message_start", message=begun)
    yield _event("ping")
    for index, block in enumerate(message["content"]):
        yield from _block_events(index, block)
    delta = {
        "stop_reason": message["stop_reason"],
        "stop_sequence": message["stop_sequence"],
        "stop_details": message.get("stop_details"),
    }
    edits = {name: message[name] for name in ("context_management",) if name in message}
    yield _event("message_delta", delta=delta, usage=bill.at_end(), **edits)
    yield _event("message_stop")


def _event(name: str, **data: Any) -> tuple[str, dict[str, Any]]:
    return name, {"type": name, **data}


def _block_events(index: int, block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    start, deltas = _cut(block)
    yield _event("content_block_start", index=index, content_block=start)
    for delta in deltas:
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _cut(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The block as it starts, and the deltas that complete it."""
    match block["type"]:
        case "text":
            pieces = [{"type": "text_delta", "text": text} for text in _pieces(block["text"])]
            return {**block, "text": ""}, pieces
        case "thinking":
            shown = _pieces(block["thinking"]) if block["thinking"] else []
            pieces = [{"type": "thinking_delta", "thinking": part} for part in shown]
            pieces.append({"type": "signature_delta", "signature": block["signature"]})
            return {**block, "thinking": "", "signature": ""}, pieces
        case "tool_use" | "server_tool_use":
            whole = msgspec.json.encode(block["input"]).decode()
            parts = ["", *_pieces(whole)] if block["input"] else [""]
            pieces = [{"type": "input_json_delta", "partial_json": part} for part in parts]
            return {**block, "input": {}}, pieces
        case "compaction":
            summary = {"type": "compaction_delta", "content": block["content"]}
            return {**block, "content": None}, [summary]
        case _:
            return block, []


def _pieces(text: str) -> list[str]:
    size = max(_PIECE_CHARS, -(-len(text) // _PIECES_MAX))
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]
