"""The message that a stream spells out piece by piece, for recording only.

Rules from outside (API facts, section 4.3; provider's page on streaming, 2026-11): text, thinking
and signatures are strings to be joined; a tool's input comes as fragments of JSON, an empty one as
``""``; citations are a list; a compaction comes in one piece; blocks of other kinds are complete as
they start. Deltas of a kind we do not know leave the block as it is.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from farthing.wire.sse import SseEvent, SseParser

__all__ = ["MessageAssembler"]

#: what JSON that is none may raise
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: delta type → the member of the delta, and of the block that it continues
_JOINED: Final = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "compaction_delta": ("content", "content"),
}


class MessageAssembler:
    """Feed it a stream; ``message`` is then what a plain answer would have said."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        #: pieces of strings: by block and member; joined once, or a long text would be copied often
        self._texts: dict[int, dict[str, list[str]]] = {}
        self._inputs: dict[int, list[str]] = {}
        self.is_complete = False

    def feed(self, chunk: bytes) -> None:
        """Read a chunk, cut anywhere; what cannot be read is left out."""
        for event in self._parser.feed(chunk):
            try:
                self._read(event)
            except (*_UNREADABLE, LookupError, TypeError, AttributeError):
                continue  # a recording with a gap beats a call that fails for its sake

    @property
    def message(self) -> dict[str, Any]:
        """The message as far as it has come."""
        for index in [*self._texts]:
            self._join(index)
        content = [self._blocks[index] for index in sorted(self._blocks)]
        return {**self._message, "content": content}

    def _read(self, event: SseEvent) -> None:
        match event.name:
            case "message_start":
                self._message = msgspec.json.decode(event.data)["message"]
            case "content_block_start":
                said = msgspec.json.decode(event.data)
                self._blocks[said["index"]] = said["content_block"]
            case "content_block_delta":
                said = msgspec.json.decode(event.data)
                self._continue(said["index"], said["delta"])
            case "content_block_stop":
                self._finish(msgspec.json.decode(event.data)["index"])
            case "message_delta":
                self._end(msgspec.json.decode(event.data))
            case "message_stop":
                self.is_complete = True
            case _:
                pass

    def _continue(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks[index]
        kind = delta["type"]
        if kind in _JOINED:
            said, into = _JOINED[kind]
            if isinstance(delta[said], str):
                self._texts.setdefault(index, {}).setdefault(into, []).append(delta[said])
        elif kind == "input_json_delta":
            self._inputs.setdefault(index, []).append(delta["partial_json"])
        elif kind == "citations_delta":
            block["citations"] = block.get("citations") or []
            block["citations"].append(delta["citation"])

    def _join(self, index: int) -> None:
        block = self._blocks[index]
        for into, pieces in self._texts.pop(index, {}).items():
            block[into] = (block.get(into) or "") + "".join(pieces)

    def _finish(self, index: int) -> None:
        self._join(index)
        text = "".join(self._inputs.pop(index, ()))
        if text:
            self._blocks[index]["input"] = msgspec.json.decode(text)

    def _end(self, said: dict[str, Any]) -> None:
        self._message |= said.get("delta") or {}
        usage = self._message.get("usage") or {}
        self._message["usage"] = {**usage, **(said.get("usage") or {})}
