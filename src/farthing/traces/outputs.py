"""How many output tokens a usage object reports: what tells a partial copy from a complete one."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from farthing.traces.format import is_given

__all__ = ["output_tokens"]


class _Output(msgspec.Struct, frozen=True):
    output_tokens: int | None = None


_decoder = msgspec.json.Decoder(_Output)


def output_tokens(usage: Raw) -> int:
    """The count; 0 where there is none that can be read."""
    if not is_given(usage):
        return 0
    try:
        return max(0, _decoder.decode(usage).output_tokens or 0)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0
