"""What, near the top of prompts, breaks the prompt cache between conversations, and what it costs.

Theory of operation. Conversations of one project and user could share their tools and system
prompt. The first request of each is compared with that of the one before, block by block
(``core.cache_breaks``). Where tools or system differ, everything behind the difference up to the
end of the system prompt was paid anew although the provider still held the other spelling. What it
cost is an upper bound: at that time the entry may have been pushed out by something else.

Rules of this file: a culprit is an address, a kind, a class of detector, and sizes. No text, not
even the differing bytes. Conversations whose source hides tools and system prompt (transcripts of
Claude Code) can show no culprit here; their misses are in the audit's list of causes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from farthing.core.cache_breaks import ChangeKind, PrefixChange, diff
from farthing.core.estimate import BlockMemo
from farthing.core.prefix_view import view_of
from farthing.core.volatile import Detector
from farthing.errors import RequestError
from farthing.pricing.catalog import Catalog, traits
from farthing.traces.audit.tally import Ranking, Share
from farthing.traces.format import Conversation, is_billed
from farthing.traces.instants import parse_instant, utc_day
from farthing.wire.fingerprint import Fingerprint, fingerprint
from farthing.wire.json import encode
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request

__all__ = ["Culprit", "Culprits"]

#: how long an entry can have lived, whatever lifetime was asked for
_LONGEST_LIFE_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """One place of one group of prompts that keeps changing."""

    #: the project, or the source where there is none
    group: str
    #: ``system.1``, ``tools.0``
    address: str
    kind: ChangeKind
    detector: Detector | None
    #: names of key parameters that differ
    parameters: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """In words: ``system.1: a timestamp changes``."""
        if self.kind == "parameter":
            return f"{self.address}: {', '.join(self.parameters)} changes"
        if self.kind == "value" and self.detector not in {None, "other"}:
            return f"{self.address}: a {self.detector} changes"
        return f"{self.address}: {_WORDS[self.kind]}"


_WORDS: Final[dict[ChangeKind, str]] = {
    "parameter": "a parameter changes",
    "shuffled_tools": "the same tools in another order",
    "shuffled_keys": "the same schema with its keys in another order",
    "added": "something is added before it",
    "removed": "something is removed",
    "value": "its text changes",
    "other_kind": "another kind of block",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The first request of a group's last conversation."""

    printed: Fingerprint
    last_at: float | None


@dataclass(slots=True)
class Culprits:
    """Running result over conversations in the order in which they come."""

    catalog: Catalog
    compared: int = 0
    #: estimates: tokens that were paid anew, and 10⁻¹² USD above reading them
    ranking: Ranking[Culprit] = field(default_factory=Ranking)
    _heads: dict[tuple[str, str, str], _Head] = field(default_factory=dict)
    _memo: BlockMemo = field(default_factory=BlockMemo)

    def add(self, conversation: Conversation) -> None:
        """Compare one conversation's first request with the group's last."""
        calls = [call for call in conversation.calls if is_billed(call) and call.prompt_messages]
        model = (calls[0].model if calls else None) or conversation.model or ""
        known = traits(model)
        if not calls or known is None or conversation.tools_inferred:
            return
        try:
            request = Request.parse(_first_body(conversation, model, calls[0].prompt_messages))
            printed = fingerprint(request, known)
        except RequestError:
            return
        if not request.tools and not request.system:
            return
        group = conversation.project or conversation.source
        key = group, conversation.user_key or "", conversation.agent_id or ""
        started_at = parse_instant(conversation.started_at)
        ends = [call.at for call in calls if call.at is not None]
        last_at = started_at + max(ends) if started_at is not None and ends else started_at
        before = self._heads.get(key)
        self._heads[key] = _Head(printed=printed, last_at=last_at)
        if before is None or not _is_alive(before.last_at, started_at):
            return
        self.compared += 1
        change = diff(before.printed, printed, known)
        if change is not None and change.level != "messages":
            self._book(group, change, request, printed, known, utc_day(started_at))

    def _book(  # noqa: PLR0917  one event, all of it known here only
        self,
        group: str,
        change: PrefixChange,
        request: Request,
        printed: Fingerprint,
        known: ModelTraits,
        day: date | None,
    ) -> None:
        positions = view_of(request, printed, known, memo=self._memo).positions
        head_end = len(request.tools) + len(request.system)
        kept = positions[change.block - 1] if change.block else 0
        tokens = positions[head_end - 1] - kept
        card = self.catalog.find(request.model or "", on=day or date.max)
        rates = card.rates_for(tokens) if card else None
        extra = tokens * (rates.cache_write_5m - rates.cache_read) if rates else 0
        culprit = Culprit(
            group=group,
            address=change.address,
            kind=change.kind,
            detector=change.detector,
            parameters=change.parameters,
        )
        self.ranking.share(culprit).add(tokens, tokens, extra)

    def top(self, count: int | None = None) -> list[tuple[Culprit, Share]]:
        """The dearest first."""
        return self.ranking.top(count)


def _is_alive(last_at: float | None, started_at: float | None) -> bool:
    """Could an entry of the one still have been read by the other? Unknown times: yes."""
    if last_at is None or started_at is None:
        return True
    return started_at - last_at < _LONGEST_LIFE_SECONDS


def _first_body(conversation: Conversation, model: str, messages: int) -> bytes:
    """The first request as far as the trace has it."""
    sent = b",".join(
        b'{"role":%b,"content":%b}' % (encode(each.role), bytes(each.content))
        for each in conversation.messages[:messages]
    )
    members = [b'"model":%b' % encode(model), b'"messages":[%b]' % sent]
    system, tools = bytes(conversation.system), bytes(conversation.tools)
    members += [b'"system":%b' % system] if system not in {b"", b'""', b"null"} else []
    members += [b'"tools":%b' % tools] if tools not in {b"", b"null"} else []
    return b"{%b}" % b",".join(members)
