"""The engine of one process: decides, shapes and proves each Messages call. Values in, values out.

Theory of operation
-------------------
An exchange leads each call through these steps, in this order::

    read     parse the body, going on from the conversation's last request (``engine_recent``)
    begin    levers in force, lineage, prompt as the prompt cache sees it
    choose   the lineage's pin and repairs; breakpoints and lifetimes (``cache_engine``)
    kept     the pin that the ledger kept: ours, or another replica's
    shape    proposals, priced together (``plan``); the body
    began    it leaves: the shadows of what the client sent, and of each lever, begin
    first_byte   the answer begins: what was written can be read
    ended    usage and price are known: baseline, savings, evidence for the governor

What is a function of the request is computed; what is not is pinned. Content (repairs) is chosen at
a lineage's first request and never again: this process cannot know what another replica keeps
warm. Lifetimes are chosen at epochs; they are not rendered. A first request without repairs leaves
no pin, because no pin means no repairs; so one-shots write nothing, and a conversation is on record
from its second request on.

A prompt is kept by whom it bills, so the scope of the prompt cache is the key's.

Rules of this file: it may raise; whoever calls it guards each step and sends the client's bytes if
one fails. Nothing here knows the time, a file or a lock. Memory is bounded: recent requests by
bytes, all else by count.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Final, TypeVar

from farthing.core.cache_engine import CacheEngine
from farthing.core.cache_values import CacheAsk, CachePin
from farthing.core.engine_accounts import Accounts
from farthing.core.engine_marks import MarkAsk, can_carry, proposals, remarked
from farthing.core.engine_recent import Recent, Recents
from farthing.core.engine_referee import EngineReferee
from farthing.core.engine_setup import EngineSetup
from farthing.core.engine_values import Caller, EngineAnswer, EngineCall, LeftAs, Reading
from farthing.core.estimate import BlockMemo
from farthing.core.exchange_plan import Plan
from farthing.core.fanout import FanoutAsk
from farthing.core.holdout import is_held_out
from farthing.core.levers import ABLATION_ORDER, LEVERS
from farthing.core.pins import (
    LineagePin,
    Occasion,
    PinDecision,
    RepairChoice,
    decide,
    is_first_request,
)
from farthing.core.plan import PlanCase, plan
from farthing.core.policy import InForce
from farthing.core.prefix import PrefixView
from farthing.core.prefix_view import view_after
from farthing.core.records import Accounting
from farthing.core.repairs import repair
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request

__all__ = ["Engine"]

#: lineages whose pin, or whose refusal by the API, is remembered
_LINEAGES: Final = 8_192

_FANOUT: Final = "cache.fanout"

_Value = TypeVar("_Value")


class Engine:
    """Everything that levers share in one process."""

    def __init__(self, setup: EngineSetup) -> None:
        self.setup = setup
        self.memo = BlockMemo()
        self.recents = Recents()
        self.cache = CacheEngine(seed=setup.lifetimes)
        self.accounts = Accounts(setup, self.cache)
        self.referee = EngineReferee(setup.diagnosed)
        self._pins: OrderedDict[str, LineagePin] = OrderedDict()
        #: lineages in which the API refused a mark of ours
        self._untouchable: OrderedDict[str, None] = OrderedDict()

    # -- decide -----------------------------------------------------------------------------------

    def read(self, body: bytes, headers: Mapping[str, str]) -> Reading:
        """Parse a body; ``RequestError`` as ``Request.parse``."""
        key, recent = self.recents.find(body, headers)
        request = Request.parse(body, after=recent.request if recent else None)
        return Reading(request=request, key=key, after=recent)

    def begin(self, reading: Reading, caller: Caller) -> EngineCall | None:
        """What there is to decide about; None: the call is none of the engine's.

        Threads keep their history at the provider, so nothing here knows their prompt; a model
        without a card has no economics.
        """
        request, after = reading.request, reading.after
        model = request.model
        traits = self.setup.prices.traits(model) if model else None
        card = self.setup.prices.find(model, on=caller.now) if model else None
        is_whole = request.field("thread") is None and bool(request.message_spans)
        if traits is None or card is None or not is_whole:
            return None
        known = after.fingerprint if after is not None and after.traits is traits else None
        prompt = fingerprint(request, traits, after=known)
        view, weighed = view_after(
            request,
            prompt,
            traits,
            memo=self.memo,
            scope=caller.attribution.key_scope,
            after=after.weighed if after else None,
        )
        kind, root = _kind(caller), caller.attribution.root_task_id
        held = is_held_out(root, self.setup.hold_out, self.setup.install_key)
        return EngineCall(
            reading=reading,
            caller=caller,
            traits=traits,
            card=card,
            fingerprint=prompt,
            weighed=weighed,
            view=replace(view, lineage_id=self._lineage(request, caller)),
            in_force=self._in_force(caller, is_held_out=held),
            is_held_out=held,
            kind=kind,
            workload=caller.attribution.task_type or kind,
        )

    def known_pin(self, call: EngineCall) -> LineagePin | None:
        """The pin, if this process has seen it: what it says of content never changes."""
        return self._pins.get(call.lineage_id)

    def choose(self, call: EngineCall, pin: LineagePin | None) -> LineagePin | None:
        """Decide on repairs, breakpoints and lifetimes; the pin that has to be kept, if any."""
        occasion: Occasion = "first" if is_first_request(call.reading.request) else "warm"
        draft = self._draft(call)
        decision = decide(pin, draft, occasion)
        is_left_alone = call.caller.is_bypassed
        call.repairs = () if is_left_alone else decision.pin.repairs
        self._sight(call, pin)
        assert call.choice is not None
        if is_left_alone or not call.in_force.is_applied:
            return None
        chosen = call.choice.pin
        if pin is not None and call.choice.is_epoch:
            draft = replace(draft, ttl_head=chosen.head, ttl_tail=chosen.tail)
            decision = decide(pin, draft, "cold")
        elif pin is None:
            terms = self.setup.loops
            kept = replace(
                decision.pin,
                ttl_head=chosen.head,
                ttl_tail=chosen.tail,
                loops=None if terms is None else terms.begun_with(_length(call)),
            )
            decision = PinDecision(pin=kept, is_new=bool(call.repairs) or occasion != "first")
        call.pin = decision.pin
        if decision.is_new:
            return decision.pin
        if pin is not None:
            _remember(self._pins, pin.lineage_id, pin)
        return None

    def kept(self, call: EngineCall, pin: LineagePin | None) -> None:
        """What is on record now; None: it could not be kept, so content stays the client's."""
        repairs = () if pin is None else pin.repairs
        call.pin = pin
        if pin is not None:
            _remember(self._pins, pin.lineage_id, pin)
        if repairs != call.repairs:
            call.repairs = repairs
            self._sight(call, pin)

    # -- shape ------------------------------------------------------------------------------------

    def shape(self, call: EngineCall) -> Plan:
        """The body to send, and why."""
        left, view, choice = call.left, call.anchored, call.choice
        assert left is not None
        assert view is not None
        assert choice is not None
        off = self._governed_off(call)
        cache = self.accounts.shadows.sent
        ask = MarkAsk(
            request=left.request,
            view=view,
            choice=choice,
            levers=call.in_force.levers - off if self._may_mark(call) else frozenset(),
            cache=cache,
            card=call.card,
            now=call.caller.now,
        )
        case = PlanCase(
            request=left.request,
            traits=call.traits,
            view=view,
            cache=cache,
            card=call.card,
            now=call.caller.now,
            in_force=call.in_force,
            governed_off=off,
            remark=remarked(ask),
        )
        call.planned = planned = plan(case, [*proposals(ask), *self.referee.wishes(call)])
        if [mark.mark for mark in choice.marks] != list(planned.view.marks):
            self.cache.sent(planned.view)
        self._recall_next(call)
        reasons = (*self._repair_reasons(call), *planned.plan.reasons, *_said(call, off))
        return Plan(body=planned.body, reasons=reasons, fanout=self._fanout(call, off))

    def unmarked(self, call: EngineCall) -> Plan:
        """The API refused our marks: the same request without them, and none in this lineage."""
        call.is_refused = True
        _remember(self._untouchable, call.lineage_id, None)
        assert call.left is not None
        self.cache.sent(call.left.view)
        reasons = (*self._repair_reasons(call), "-cache.marks:refused")
        return Plan(body=call.left.request.body, reasons=reasons)

    # -- prove ------------------------------------------------------------------------------------

    def ended(
        self, call: EngineCall, answer: EngineAnswer, first_byte_at: datetime
    ) -> Accounting | None:
        """The call is over: what it would have cost, and who saved what."""
        made = self.accounts.ended(call, answer, first_byte_at)
        if made is not None:
            call.notes += self.referee.heard(call, answer, made)
        return made

    # -- parts ------------------------------------------------------------------------------------

    def _in_force(self, caller: Caller, *, is_held_out: bool) -> InForce:
        found = self.setup.policy.in_force(
            key=caller.key,
            task_type=caller.attribution.task_type,
            header=caller.levers,
            allowed=caller.allowed,
        )
        if caller.is_bypassed or is_held_out:
            return replace(found, levers=frozenset())
        if caller.is_subscription:
            return replace(found, profile="observe")
        return found

    def _lineage(self, request: Request, caller: Caller) -> str:
        """Whose conversation it is, and how it begins: its first message, marks left out."""
        owner = caller.attribution
        name = "" if owner.source == "lineage" else owner.task_id
        digest = blake2b(
            f"{owner.key_scope}\0{name}".encode(), key=self.setup.install_key, digest_size=16
        )
        for block in request.messages[0].blocks:
            digest.update(block.digest)
        return digest.hexdigest()

    def _draft(self, call: EngineCall) -> LineagePin:
        """What would be chosen now, lifetimes left out."""
        wanted = call.in_force.levers if call.in_force.is_applied else frozenset()
        repairs = tuple(
            RepairChoice(lever=lever, place="head" if lever == "repair.volatile_system" else "")
            for lever in ABLATION_ORDER
            if lever in wanted
            and LEVERS[lever].family == "repair"
            and not self.accounts.governor.is_off(lever, call.workload)
        )
        return LineagePin(
            lineage_id=call.view.lineage_id,
            ttl_head=None,
            ttl_tail=None,
            repairs=repairs,
            policy_digest=self.setup.policy_digest,
            engine_version=self.setup.engine_version,
            chosen_at=call.caller.now,
        )

    def _sight(self, call: EngineCall, pin: LineagePin | None) -> None:
        """The request as repaired, and what the cache engine says of it."""
        call.left = left = self._left(call)
        call.anchored = view = self.accounts.shadows.sent.anchored(left.view)
        blocks = left.fingerprint.blocks
        hidden = left.fingerprint.unrendered
        ask = CacheAsk(
            view=view,
            rates=call.card.rates_for(view.total_tokens),
            markable=lambda index: index not in hidden and can_carry(blocks[index]),
            kind=call.kind,
            pin=None if pin is None else CachePin(head=pin.ttl_head, tail=pin.ttl_tail),
        )
        call.choice = self.cache.choose(ask, call.caller.now)

    def _left(self, call: EngineCall) -> LeftAs:
        request, prompt, view = call.reading.request, call.fingerprint, call.view
        declined: list[str] = []
        stages: list[tuple[str, PrefixView]] = []
        for choice in call.repairs:
            done = repair(request, call.traits, (choice,))
            declined += done.declined
            if not done.applied:
                continue
            request = done.request
            prompt = fingerprint(request, call.traits)
            view, _ = view_after(
                request, prompt, call.traits, memo=self.memo, scope=view.scope, after=None
            )
            view = replace(view, lineage_id=call.lineage_id)
            stages.append((choice.lever, view))
        return LeftAs(
            request=request,
            fingerprint=prompt,
            view=view,
            repaired=tuple(stages),
            declined=tuple(declined),
        )

    def _may_mark(self, call: EngineCall) -> bool:
        return call.lineage_id not in self._untouchable

    def _governed_off(self, call: EngineCall) -> frozenset[str]:
        governor = self.accounts.governor
        return frozenset(
            lever for lever in call.in_force.levers if governor.is_off(lever, call.workload)
        )

    def _recall_next(self, call: EngineCall) -> None:
        """The next turn goes on from here."""
        assert call.left is not None
        came = call.reading.came
        recent = Recent(
            request=came or call.reading.request,
            noted=call.reading.request if came else None,
            lineage_id=call.lineage_id,
            traits=call.traits,
            fingerprint=call.fingerprint,
            left=call.left.fingerprint,
            weighed=call.weighed,
        )
        self.recents.put(call.reading.key, recent, call.reading.after)

    def _fanout(self, call: EngineCall, off: frozenset[str]) -> FanoutAsk | None:
        """What it writes and reads, for who lets calls wait for one another."""
        if _FANOUT not in call.in_force.levers - off:
            return None
        return FanoutAsk(
            view=call.sends,
            forecast=self.accounts.shadows.sent.predict(call.sends, call.caller.now),
            is_streamed=call.reading.request.stream,
            may_wait=call.in_force.is_applied,
        )

    @staticmethod
    def _repair_reasons(call: EngineCall) -> tuple[str, ...]:
        assert call.left is not None
        made = (f"+{lever}" for lever, _ in call.left.repaired)
        return (*made, *(f"-{why}" for why in call.left.declined))


def _remember(known: OrderedDict[str, _Value], key: str, value: _Value) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _LINEAGES:
        known.popitem(last=False)


def _length(call: EngineCall) -> int:
    return len(call.reading.request.message_spans)


def _kind(caller: Caller) -> str:
    """What kind of client this is: its pauses are learned apart from others'."""
    if caller.attribution.source != "claude-code":
        return "api"
    return "subagent" if caller.attribution.agent_id else "main"


def _said(call: EngineCall, off: frozenset[str]) -> tuple[str, ...]:
    """Why nothing, or less, was proposed."""
    if call.caller.is_bypassed:
        return ("-all:bypass",)
    if call.is_held_out:
        return ("-all:held_out",)
    return tuple(f"-{lever}:governed_off" for lever in ABLATION_ORDER if lever in off)
