"""Recorded Claude Code conversations as calls in time: what was sent, when, and what was billed."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from farthing.core.prefix import Ttl
from farthing.wire.usage import Usage

__all__ = ["FIRST_BYTE_WITHIN", "Call", "Piece", "Row", "load_rows"]

#: Estimated tokens per character (data README), to place block borders inside a known growth.
TOKENS_PER_CHARACTER = {"text": 0.27, "thinking": 0.27, "tool_use": 0.30, "tool_result": 0.34}

#: A response is announced at most this long after its request; only ``done_at`` is recorded.
FIRST_BYTE_WITHIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Piece:
    """One content block: its digest and its weight, for borders between known totals."""

    role: str
    kind: str
    digest: bytes
    weight: float


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded conversation."""

    id: str
    session_id: str
    user: str
    is_subagent: bool
    ttl: Ttl
    version: str
    hidden_tokens: int


@dataclass(frozen=True, slots=True)
class Call:
    """One API call; its request is every piece before it."""

    row: Row
    index: int
    model: str
    began_at: datetime
    first_byte_at: datetime
    done_at: datetime
    usage: Usage
    pieces: tuple[Piece, ...]
    answer: tuple[Piece, ...]
    #: the previous answer, and this one, asked for no tool: the user, or the client, was next
    follows_end: bool
    ends: bool


def load_rows(path: Path) -> Iterator[tuple[Row, list[Call]]]:
    """The conversations of one file, with the calls that were billed in them."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            meta = record["meta"]
            row = Row(
                id=record["id"],
                session_id=meta["session_id"],
                user=meta["user_key"],
                is_subagent=meta["segment_kind"] == "subagent",
                ttl=meta["cache_ttl"],
                version=meta["cc_version"],
                hidden_tokens=meta["hidden_prefix_tokens"],
            )
            yield row, list(_calls(row, record))


def _calls(row: Row, record: dict[str, Any]) -> Iterator[Call]:
    started_at = datetime.fromisoformat(record["started_at"])
    pieces: list[Piece] = []
    follows_end, index = False, 0
    for message in record["messages"]:
        added = _pieces(message)
        if message["role"] == "assistant":
            turn = record["turns"][index]
            began_at = started_at + timedelta(seconds=turn["at"])
            done_at = max(began_at, started_at + timedelta(seconds=turn["done_at"]))
            ends = all(piece.kind != "tool_use" for piece in added)
            if not turn["replayed"]:  # billed in another row
                yield Call(
                    row=row,
                    index=index,
                    model=turn["model"],
                    began_at=began_at,
                    first_byte_at=min(done_at, began_at + FIRST_BYTE_WITHIN),
                    done_at=done_at,
                    usage=_input_usage(turn["usage"]),
                    pieces=tuple(pieces),
                    answer=tuple(added),
                    follows_end=follows_end,
                    ends=ends,
                )
            follows_end = ends
            index += 1
        pieces += added


def _pieces(message: dict[str, Any]) -> list[Piece]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [_piece(message["role"], block) for block in blocks]


def _piece(role: str, block: dict[str, Any]) -> Piece:
    text = json.dumps(block, ensure_ascii=False, sort_keys=True)
    kind = block["type"]
    weight = TOKENS_PER_CHARACTER.get(kind, 0.3) * len(text) + (45 if kind == "tool_use" else 5)
    digest = hashlib.blake2b(role.encode() + text.encode(), digest_size=16).digest()
    return Piece(role, kind, digest, weight)


def _input_usage(usage: dict[str, Any]) -> Usage:
    """The input side only: recorded output counts are snapshots (data README)."""
    written = usage["cache_creation"]
    return Usage(
        uncached=usage["input_tokens"],
        cache_write_5m=written["ephemeral_5m_input_tokens"],
        cache_write_1h=written["ephemeral_1h_input_tokens"],
        cache_read=usage["cache_read_input_tokens"],
    )
