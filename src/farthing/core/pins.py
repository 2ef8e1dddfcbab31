"""Lineage pins: what was chosen for a lineage, and when it may be chosen anew.

Theory of operation. An agent sends its whole history again on every turn, so most decisions can be
functions of the request and need no memory. What depends on the clock, on learned tables, on the
policy or on the version of the engine cannot: chosen anew in mid-conversation it would flip the
prefix, which is dear, and on models that bind thinking to its prefix a 400. Such choices are made
once, kept as a ``LineagePin`` in the ledger, and made anew only where the table ``MAY_CHANGE``
allows it:

- ``first``: the lineage's first request (nothing was answered yet);
- ``cold``: an epoch: nothing of the prefix is readable any more, it is written anew anyway;
- ``content``: an epoch, and no thinking in the request is bound to what would change.

A policy edit, an upgrade or a governor's verdict therefore reaches new lineages. A pin that is lost
(the ledger forgot, or never knew) means: the content of that lineage stays as the client sends it,
and a pin that says so is written, so that no later policy flips it either. Marks and lifetimes are
not rendered; they may be chosen freely.

Two replicas that see the same lineage first at the same time both propose; the ledger's
``put_if_absent`` lets one win, and ``settled`` says which to use.

Interface: ``decide`` → ``PinDecision``; ``is_first_request``; ``LineagePin.dump`` / ``parse``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, Self

import msgspec

from farthing.core.levers import LEVERS
from farthing.core.loop_terms import LoopTerms
from farthing.core.prefix import Ttl
from farthing.errors import EngineBug, LedgerError
from farthing.wire.models import ModelTraits
from farthing.wire.rendering import THINKING_KINDS
from farthing.wire.request import Request

__all__ = [
    "MAY_CHANGE",
    "ChangeAt",
    "LineagePin",
    "Occasion",
    "PinDecision",
    "RepairChoice",
    "check_successor",
    "decide",
    "is_first_request",
    "occasion_of",
]

#: what kind of request this is for its lineage
Occasion = Literal["first", "content", "cold", "warm"]

#: the least occasion at which a field may take another value
ChangeAt = Literal["never", "content", "cold", "epoch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairChoice:
    """A repair that a lineage gets, and where it puts things if there is a choice."""

    lever: str
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineagePin:
    """One row: all that was chosen for a lineage and is no function of the request."""

    lineage_id: str
    #: chosen for marks of ours, in render order; None: none is written
    ttl_head: Ttl | None
    ttl_tail: Ttl | None
    #: pings per pause
    pings: int = 0
    #: repairs of content, in the order in which they are made
    repairs: tuple[RepairChoice, ...] = ()
    #: where notes about loops stand; None: it never gets any
    loops: LoopTerms | None = None
    policy_digest: str
    engine_version: str
    #: counts the times it was chosen anew
    epoch: int = 0
    chosen_at: datetime

    def dump(self) -> bytes:
        """As it rests in the ledger."""
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """What ``dump`` wrote; ``LedgerError`` for anything else."""
        try:
            return msgspec.json.decode(raw, type=cls)
        except msgspec.MsgspecError as error:
            raise LedgerError(f"a lineage pin cannot be read: {error}") from None


MAY_CHANGE: Final[Mapping[str, ChangeAt]] = MappingProxyType(
    {
        "lineage_id": "never",
        "ttl_head": "cold",
        "ttl_tail": "cold",
        "pings": "cold",
        "repairs": "content",
        "loops": "never",
        "policy_digest": "epoch",
        "engine_version": "epoch",
        "epoch": "epoch",
        "chosen_at": "epoch",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinDecision:
    """The pin in force for this request, and whether it has to be recorded."""

    pin: LineagePin
    #: the pin is new, or of a new epoch
    is_new: bool
    #: there should have been one: content stays as the client sends it
    is_lost: bool = False

    def settled(self, kept: LineagePin) -> PinDecision:
        """After ``put_if_absent``: what the ledger kept is in force, ours or another replica's."""
        return self if kept == self.pin else replace(self, pin=kept, is_new=False)


def is_first_request(request: Request) -> bool:
    """Has nothing been answered yet? Then no prefix of this lineage was ever sent."""
    return all(message.role != "assistant" for message in request.messages)


def occasion_of(request: Request, traits: ModelTraits | None, *, is_cold: bool) -> Occasion:
    """What kind of request this is; ``is_cold``: nothing of its prefix can be read any more."""
    if is_first_request(request):
        return "first"
    if not is_cold:
        return "warm"
    binds = traits is None or traits.binds_thinking != "no"
    return "cold" if binds and _has_thinking(request) else "content"


def _has_thinking(request: Request) -> bool:
    return any(block.kind in THINKING_KINDS for block in request.blocks)


def decide(pin: LineagePin | None, proposed: LineagePin, occasion: Occasion) -> PinDecision:
    """Which pin holds: the one on record, the proposed one, or what of it may still be chosen."""
    if pin is None:
        is_lost = occasion != "first"
        kept = replace(proposed, repairs=_exact(proposed.repairs)) if is_lost else proposed
        return PinDecision(pin=replace(kept, epoch=0), is_new=True, is_lost=is_lost)
    if occasion in {"first", "warm"}:  # a first request on record was sent again: nothing changes
        return PinDecision(pin=pin, is_new=False)
    repairs = proposed.repairs if occasion == "content" else pin.repairs
    after = replace(
        proposed,
        lineage_id=pin.lineage_id,
        repairs=repairs,
        loops=pin.loops,
        epoch=pin.epoch + 1,
    )
    if _choices(after) == _choices(pin):
        return PinDecision(pin=pin, is_new=False)
    check_successor(pin, after, occasion)
    return PinDecision(pin=after, is_new=True)


def _exact(repairs: tuple[RepairChoice, ...]) -> tuple[RepairChoice, ...]:
    return tuple(choice for choice in repairs if LEVERS[choice.lever].pinned != "content")


def _choices(pin: LineagePin) -> list[object]:
    """What a pin decides, without when and by whom it was decided."""
    return [getattr(pin, name) for name, at in MAY_CHANGE.items() if at != "epoch"]


def check_successor(before: LineagePin, after: LineagePin, occasion: Occasion) -> None:
    """``EngineBug`` if a pin would change what may not change on this occasion."""
    allowed: set[ChangeAt] = {"epoch"}
    if occasion in {"cold", "content"}:
        allowed.add("cold")
    if occasion == "content":
        allowed.add("content")
    for field in fields(LineagePin):
        changed = getattr(before, field.name) != getattr(after, field.name)
        if changed and MAY_CHANGE[field.name] not in allowed:
            raise EngineBug(f"a pin changes {field.name!r} on a {occasion!r} request")
    if after.epoch != before.epoch + 1:
        raise EngineBug(f"epoch {after.epoch} does not follow epoch {before.epoch}")
