"""Short texts without keys: what may rest in the journal, and leave in an alert."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["masked"]

#: at the beginning of a word: ``task-classify-tickets`` is none
_SECRET: Final = re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}")
_MASK: Final = "[key]"
_LONGEST: Final = 200


def masked(text: str) -> str:
    """The text with what looks like a key left out, and no longer than a fact needs to be."""
    return _SECRET.sub(_MASK, text)[:_LONGEST]
