"""Turns written by hand: a prompt is a word, each letter a block, equal beginnings are shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from farthing.core.prefix import Mark
from farthing.lab.replay.bills import Bill, Prices
from farthing.lab.replay.pieces import Piece
from farthing.lab.replay.policies import Policy
from farthing.lab.replay.simulation import simulate
from farthing.lab.replay.turns import Recording, Turn
from farthing.pricing import catalog
from farthing.traces.format import Conversation

__all__ = ["MODEL", "PRICES", "START", "input_bill", "turn"]

#: $5 a million: 5,000,000 · 10⁻¹² USD a token uncached, 500,000 read; at least 4,096 tokens
MODEL = "claude-opus-4-5"
PRICES = Prices(catalog())
START = datetime(2026, 2, 2, 9, tzinfo=UTC)


def turn(
    minute: float,
    path: str,
    sizes: Mapping[str, int],
    *,
    name: str = "a",
    model: str = MODEL,
    scope: str = "us",
    marks: Sequence[Mark] = (),
) -> Turn:
    began_at = START + timedelta(minutes=minute)
    conversation = Conversation(id=name, source="test", messages=[], calls=[])
    pieces = [_piece(at) for at in range(len(path))]
    return Turn(
        recording=Recording(conversation=conversation, pieces=pieces, ends=[0], scope=scope),
        index=0,
        model=model,
        began_at=began_at,
        first_byte_at=began_at,
        day=began_at.date(),
        kept=range(len(path)),
        digests=[path[: at + 1].encode() for at in range(len(path))],
        positions=list(accumulate(sizes[letter] for letter in path)),
        tools_end=0,
        system_end=0,
        recorded_marks=tuple(marks),
        recorded=None,
        output_tokens=0,
    )


def _piece(at: int) -> Piece:
    return Piece(
        level="messages", role="user", kind="text", digest=b"", weight=1.0, message=at, index=0
    )


def input_bill(turns: Sequence[Turn], policy: Policy) -> int:
    """What a policy's input costs by simulation."""
    bill = Bill()
    for replayed in simulate(turns, policy):
        bill.add(replayed, PRICES)
    assert bill.input_cost is not None
    return bill.input_cost
