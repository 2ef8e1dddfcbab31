"""Filler text of a wanted size: words from a short list, told apart by seed, never meaningful."""

from __future__ import annotations

from random import Random
from typing import Final

__all__ = ["CHARACTERS_PER_TOKEN", "write_text"]

_WORDS: Final = (
    "account adapter answer branch buffer cache change client column config counter cursor "
    "default detail driver engine entry error event field filter folder format handle header "
    "index invoice item ledger limit line list match message method module name number option "
    "order output owner packet parse path policy price query queue reader record refund region "
    "report request result retry return route sample schema scope section seed server session "
    "setting shelf signal size source stage state status step stream string switch table target "
    "task ticket token total trace turn update user value vector version window worker writer"
).split()

#: Measured on recorded coding traffic with the older tokenizer, by kind of block.
CHARACTERS_PER_TOKEN: Final = {"text": 1 / 0.27, "tool_use": 1 / 0.30, "tool_result": 1 / 0.34}

_LINE_WORDS: Final = 12


def write_text(tokens: float, dice: Random, *, kind: str = "text") -> str:
    """Text that the estimate of its kind takes for about this many tokens; at least one word."""
    wanted = tokens * CHARACTERS_PER_TOKEN[kind]
    lines: list[str] = []
    written = 0
    while written < wanted or not lines:
        line = " ".join(dice.choices(_WORDS, k=_LINE_WORDS))[: max(1, round(wanted) - written)]
        lines.append(line)
        written += len(line) + 1
    return "\n".join(lines)
