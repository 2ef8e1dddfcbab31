"""One block as the emulated model sees it: what it is, how large, and what is wrong with it alone.

Its digest is of the block without its ``cache_control`` and nulls, its own members sorted, what is
inside them (schemas, tool inputs) in the order it was sent: markers may move freely, a reordered
schema is another prompt (API facts, 2.2 and 2.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from farthing.lab.emulator.block_rules import block_problems
from farthing.lab.emulator.refusal import Refusal
from farthing.lab.emulator.sizes import block_size
from farthing.lab.emulator.tokenizer import Size

__all__ = ["Block", "block_of"]


@dataclass(frozen=True, slots=True)
class Block:
    """The smallest unit that can carry a breakpoint."""

    level: str
    role: str | None
    kind: str
    digest: bytes
    size: Size
    ttl: str | None
    value: dict[str, Any]
    problems: tuple[str, ...] = ()


def block_of(level: str, role: str | None, value: dict[str, Any]) -> Block:
    """The facts of one decoded block."""
    kind = "tool" if level == "tools" else str(value.get("type", ""))
    bare = _bare(value)
    return Block(
        level=level,
        role=role,
        kind=kind,
        digest=blake2b(msgspec.json.encode(sorted(bare.items())), digest_size=16).digest(),
        size=block_size(kind, bare),
        ttl=_ttl(value),
        value=bare,
        problems=block_problems(level, kind, value),
    )


def _bare(value: dict[str, Any]) -> dict[str, Any]:
    """The block without markers and nulls, which the model never sees."""
    bare = {k: v for k, v in value.items() if k != "cache_control" and v is not None}
    inner = bare.get("content")
    if isinstance(inner, list) and any(isinstance(i, dict) and "cache_control" in i for i in inner):
        bare["content"] = [
            {k: v for k, v in i.items() if k != "cache_control"} if isinstance(i, dict) else i
            for i in inner
        ]
    return bare


def _ttl(value: dict[str, Any]) -> str | None:
    """The marker's TTL; a marker on the last inner block counts for the parent (section 2.1)."""
    marker = value.get("cache_control")
    if marker is None and value.get("type") in ("tool_result", "document"):
        inner = value.get("content", value.get("source"))
        if isinstance(inner, list) and inner and isinstance(inner[-1], dict):
            marker = inner[-1].get("cache_control")
    if not isinstance(marker, dict):
        return None
    ttl = marker.get("ttl") or "5m"
    if ttl not in ("5m", "1h"):
        raise Refusal(400, f"cache_control.ttl: Input should be '5m' or '1h', got {ttl!r}")
    return str(ttl)
