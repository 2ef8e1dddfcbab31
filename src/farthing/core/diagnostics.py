"""The provider's cache diagnostics as a referee: when to ask, what it says, whether we agree.

Theory of operation. Asked for (``diagnostics.previous_message_id``), the provider says why a prompt
was not read (API facts 2.9, general since 2026-09-23). It compares with an earlier request only if
that one asked as well, so a *lineage* is sampled, not a call: by a digest of its id, so that every
replica asks for the same ones. A surprise (much less was read than foreseen) turns asking on for
the rest of that lineage. The field is not rendered: the model sees the same tokens, and nothing
of the prompt cache changes.

The referee knows four reasons. Where it names one and we another, the disagreement is counted by
pair; where it was not asked, still compares, or does not know, nothing is.

Interface: ``is_sampled``, ``ask`` → edit, ``read_reason``, ``Referee``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

import msgspec

from farthing.core.cache_breaks import MissCause
from farthing.wire import json
from farthing.wire.edits import SetTopLevel
from farthing.wire.request import Request

__all__ = [
    "AGREED_NOTE",
    "DISAGREED_NOTE",
    "REASONS",
    "Referee",
    "ask",
    "is_sampled",
    "read_reason",
]

#: notes with a call: the provider and we named the same reason, or ours and theirs, as ``a:b``
AGREED_NOTE: Final = "diagnostics.agreed"
DISAGREED_NOTE: Final = "diagnostics.disagreed."

#: what the provider calls it, and which of our causes say the same. Other prompt parameters make
#: it answer ``unavailable``, except the speed, which it counts with the model.
REASONS: Final[Mapping[str, frozenset[MissCause]]] = MappingProxyType(
    {
        "model_changed": frozenset({"model", "parameters"}),
        "system_changed": frozenset({"system"}),
        "tools_changed": frozenset({"tools"}),
        "messages_changed": frozenset({"message"}),
    }
)

#: causes that are about content: only of these has the referee an opinion
_CONTENT: Final = frozenset[MissCause]({"model", "parameters", "tools", "system", "message"})

_FIELD: Final = "diagnostics"
_STEPS: Final = 1 << 32


class _Reason(msgspec.Struct, frozen=True):
    type: str = ""


class _Diagnostics(msgspec.Struct, frozen=True):
    cache_miss_reason: _Reason | None = None


class _Message(msgspec.Struct, frozen=True):
    diagnostics: _Diagnostics | None = None


_decoder: Final = msgspec.json.Decoder(_Message)


def is_sampled(lineage_id: str, share: float) -> bool:
    """Is this lineage one of the share that always asks? The same everywhere and for ever."""
    digest = blake2b(lineage_id.encode(), digest_size=4, person=b"diagnostics").digest()
    return int.from_bytes(digest) < share * _STEPS


def ask(request: Request, previous_message_id: str | None) -> SetTopLevel | None:
    """The edit that asks; None where the client asks already, or uses threads."""
    if request.member(_FIELD) is not None or request.field("thread") is not None:
        return None
    return SetTopLevel(_FIELD, json.encode({"previous_message_id": previous_message_id}))


def read_reason(message: bytes) -> str | None:
    """The reason in an answer, or in the message of ``message_start``; None where none is named."""
    try:
        said = _decoder.decode(message).diagnostics
    except msgspec.MsgspecError:
        return None
    reason = said.cache_miss_reason if said else None
    return reason.type if reason and reason.type in REASONS else None


class Referee:
    """Counts how often the provider and we named the same reason; values only, no ids."""

    def __init__(self) -> None:
        self.agreed = 0
        #: (what we said, what the provider said) → how often
        self.disagreed: Counter[tuple[str, str]] = Counter()

    def judge(self, cause: MissCause | None, reason: str | None) -> bool | None:
        """Do we agree? None: one side has nothing to say about content."""
        if reason is None:
            return None
        if cause in REASONS[reason]:
            self.agreed += 1
            return True
        if cause is not None and cause not in _CONTENT:
            return None  # expired or in flight beside a change: both may be true
        self.disagreed[cause or "none", reason] += 1
        return False
