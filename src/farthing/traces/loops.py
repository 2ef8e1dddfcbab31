"""Loops of the past: what the guard would have seen in recorded conversations, and what they cost.

Theory of operation. Each recorded call is shown to the guard as it was made: with the messages it
carried. Calls in a row with a finding of one row of turns are one ``PastLoop``. Wasted are the
calls whose answers stand in the repeated part behind its first copy; of these, avoidable are those
that would have been refused. Costs are those of the recorded usage at the list prices of the day;
a call without usage or price is counted, and has no cost. What an agent would have done instead of
repeating itself nobody knows, so a wasted dollar is not yet a saved one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_ladder import LoopLadder
from farthing.core.loop_values import Action, LoopFinding, LoopPolicy
from farthing.errors import RequestError
from farthing.pricing.money import PicoUsd
from farthing.traces.audit.counted import CountedCall, PriceList, count_calls
from farthing.traces.format import Conversation
from farthing.wire.blocks import Message
from farthing.wire.request import Request

__all__ = ["PastLoop", "find_loops"]

_ORDER: Final[tuple[Action, ...]] = ("pass", "alert", "note", "escalate", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLoop:
    """One loop of one conversation, at its largest."""

    conversation_id: str
    finding: LoopFinding
    #: the strongest thing that would have been done
    action: Action
    calls: int
    wasted_calls: int
    #: of the wasted calls that have a price
    wasted: PicoUsd
    #: wasted calls that would have been refused, and their cost
    avoidable_calls: int
    avoidable: PicoUsd
    #: wasted calls without usage or price
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the guard said to a history of so many messages."""

    end: int
    finding: LoopFinding | None
    action: Action


def find_loops(
    conversation: Conversation,
    prices: PriceList,
    *,
    policy: LoopPolicy | None = None,
    ladder: LoopLadder | None = None,
) -> list[PastLoop]:
    """The loops of a conversation, in order; none where its messages cannot be read."""
    messages = _messages(conversation)
    calls = {
        call.call.prompt_messages: call for call in count_calls(conversation, prices, since=None)
    }
    guard = LoopGuard(policy, ladder)
    asked = []
    for end in sorted({*calls, len(messages)}):  # the last answer is in no request
        decision = guard.check(messages[:end])
        asked.append(_Asked(end, decision.finding, decision.action))
    rows = groupby(asked, key=lambda each: each.finding is not None)
    return [
        _past(conversation.id, calls, list(row), messages) for is_found, row in rows if is_found
    ]


def _past(
    conversation_id: str,
    calls: Mapping[int, CountedCall],
    row: list[_Asked],
    messages: Sequence[Message],
) -> PastLoop:
    findings = [each.finding for each in row if each.finding is not None]
    worst = max(findings, key=lambda finding: finding.percent)
    most = max(finding.wasted_turns for finding in findings)
    answers = [at for at in range(row[-1].end) if messages[at].role == "assistant"]
    refused = {each.end for each in row if each.action == "stop"}
    wasted = [at for at in answers[len(answers) - most :] if at in calls]
    billed = [calls[at] for at in wasted if calls[at].billed]
    avoidable = [at for at in wasted if at in refused]
    return PastLoop(
        conversation_id=conversation_id,
        finding=worst,
        action=max((each.action for each in row), key=_ORDER.index),
        calls=len(calls),
        wasted_calls=len(wasted),
        wasted=_sum(billed),
        avoidable_calls=len(avoidable),
        avoidable=_sum([calls[at] for at in avoidable if calls[at].billed]),
        unpriced_calls=sum(call.cost is None for call in billed),
    )


def _sum(calls: Sequence[CountedCall]) -> PicoUsd:
    return PicoUsd(sum(call.cost.total for call in calls if call.cost is not None))


def _messages(conversation: Conversation) -> Sequence[Message]:
    parts = [
        b'{"role":"%b","content":%b}' % (message.role.encode(), bytes(message.content))
        for message in conversation.messages
    ]
    try:
        request = Request.parse(b'{"messages":[%b]}' % b",".join(parts))
        for message in request.messages:
            for block in message.blocks:
                _ = block.values
    except RequestError:
        return ()
    return request.messages
