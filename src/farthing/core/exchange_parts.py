"""What several steps of an exchange have in common: open, tap, settle, answer, note.

Rules of this file: a ledger that fails is noted and never raises here; ``_settle`` is the one place
that ends an exchange.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import msgspec

from farthing.core.engine_values import EngineAnswer
from farthing.core.exchange_breaker import Entry, judge
from farthing.core.exchange_budget import learn
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import (
    ClientHead,
    DecoderFor,
    Deliver,
    Effect,
    Head,
    Note,
    Now,
    Open,
    Release,
    Settle,
    answer_of,
    ask,
)
from farthing.core.exchange_loops import booked
from farthing.core.exchange_prepare import Prepared, Setup, body_digest
from farthing.core.exchange_settle import Progress, Verdict, cut, of_message, settlement
from farthing.core.exchange_tap import BatchLines, Tap
from farthing.core.fanout_steps import ALONE, Passage
from farthing.core.joining import Failure
from farthing.core.keepalive_steps import own_accounting, plan_pings
from farthing.core.records import Accounting, Settlement
from farthing.errors import FarthingError, LedgerError, UpstreamError
from farthing.pricing.money import dump_usd
from farthing.wire.answers import usage_of_message
from farthing.wire.envelope import type_of
from farthing.wire.meter import StreamMeter

__all__ = ["ExchangeParts", "Steps"]

Steps = Generator[Effect[Any], Any, None]

_EXCHANGE_ID: Final = b"x-farthing-exchange-id"
_COST: Final = b"x-farthing-cost-usd"
_SAVED: Final = b"x-farthing-saved-usd"
_LOOP: Final = b"x-farthing-loop"


class ExchangeParts:
    """One exchange: what is known of it, and the parts that its steps are made of."""

    def __init__(self, call: Call, setup: Setup, prepared: Prepared, entry: Entry) -> None:
        self._setup = setup
        self._prepared = prepared
        self._progress = Progress(
            call=call,
            prepared=prepared,
            # only where levers act does anybody wait for another
            passage=ALONE if prepared.levers is None else Passage(setup.fanout),
            allowed=entry.allowed,
            notes=[*entry.notes],
        )
        self._is_opening = False

    def _open(self) -> Steps:
        if not self._prepared.route.is_recorded:
            return
        self._is_opening = True
        opened = self._prepared.opened(self._progress.call, self._setup, self._progress.hold_pico)
        try:
            yield Open(opened)
        except LedgerError:
            yield from self._noted("ledger.open_failed")
        else:
            self._progress.is_open = True
        self._is_opening = False

    def _plain_tap(self, head: Head, reader: StreamMeter | BatchLines | None) -> Tap | None:
        """The tap of an answer without an encoding; None: there is one, ``_tap`` asks for it."""
        if head.header(b"content-encoding") is not None:
            return None
        tap = self._progress.tap = Tap(reader)
        return tap

    def _tap(
        self, head: Head, reader: StreamMeter | BatchLines | None
    ) -> Generator[Effect[Any], Any, Tap]:
        """The tap of this answer, with what it takes to read its encoding."""
        encoding = (head.header(b"content-encoding") or "identity").strip().lower()
        decoder = None
        if encoding != "identity":
            decoder = yield from ask(DecoderFor(encoding))
        tap = Tap(reader, decoder)
        if encoding != "identity" and decoder is None:
            tap.is_blind = True
            self._progress.note("answer.encoding_unknown")
        self._progress.tap = tap
        return tap

    def _verdict_of(self, plain: bytes, now: Moment) -> Verdict:
        """What a plain message cost, or the interval where it does not say."""
        progress, prices = self._progress, self._setup.prices
        try:
            message = usage_of_message(plain)
        except UpstreamError:
            progress.note("answer.unreadable")
            return cut(progress, prices=prices, now=now.at)
        return of_message(message, asked=self._prepared.model, prices=prices, now=now.at)

    def _settle_cut(self, code: str | None, error_type: str | None = None) -> Steps:
        """Settle by what was seen: the final usage, or an interval."""
        if code is not None:
            self._progress.note(code)
        now: Moment = yield Now()
        yield from self._settle(
            cut(self._progress, prices=self._setup.prices, now=now.at, error_type=error_type)
        )

    def _settle(self, verdict: Verdict) -> Generator[Effect[Any], Any, Settlement | None]:
        """Record the end, once; an intent that could not be recorded is tried again first."""
        progress = self._progress
        if not self._prepared.route.is_recorded:
            return None
        if not progress.is_open:
            yield from self._open()
        now: Moment = yield Now()
        setup = self._setup
        if setup.breakers is not None:
            judge(progress, verdict, now, setup, setup.breakers)
        is_compared = self._prepared.levers is not None or progress.call.ping_for is not None
        accounting = self._accounted(verdict) if is_compared else None
        record = settlement(progress, verdict, now, accounting)
        if progress.is_open:
            try:
                yield Settle(record)
            except LedgerError:
                yield from self._noted("ledger.settle_failed")
        elif progress.hold_pico is not None:
            yield from self._release()  # no row will ever end this hold
        progress.is_settled = True
        self._told(record, verdict, now)
        for code in record.notes:
            if code.startswith("fail_open."):
                yield from self._counted(code)
        return record

    def _told(self, record: Settlement, verdict: Verdict, now: Moment) -> None:
        """Whoever learns from how exchanges end hears of it."""
        progress, prepared, setup = self._progress, self._prepared, self._setup
        reasons = prepared.plan.reasons
        if reasons or record.notes or record.state == "released":
            setup.decided.ended(prepared.attribution, prepared.model, reasons, record)
        if setup.keepalive is not None:
            plan_pings(progress, verdict, setup)
        if setup.loops is not None:
            booked(progress, verdict, now, setup.loops)
        if prepared.prompt_digest is not None:
            learn(prepared, verdict, setup)

    def _accounted(self, verdict: Verdict) -> Accounting | None:
        """The engine's account of this exchange."""
        levers, head = self._prepared.levers, self._progress.head
        if levers is None:
            return own_accounting(self._progress.call, verdict)
        model = verdict.model or self._prepared.model
        day = self._progress.call.received.at
        answer = EngineAnswer(
            usage=verdict.usage,
            cost=verdict.cost,
            card=self._setup.prices.find(model, on=day) if model and verdict.cost else None,
            stop_reason=verdict.stop_reason,
            message_id=verdict.message_id,
            diagnostics=verdict.diagnostics,
        )
        return levers.ended(answer, None if head is None else head.at_ns)

    def _release(self) -> Steps:
        try:
            yield from ask(Release(self._prepared.reservation_id))
        except LedgerError:
            yield from self._noted("ledger.release_failed")

    def _failed(self, error: UpstreamError) -> Steps:
        """No answer, or none to its end, and the client has seen nothing of it yet."""
        yield from self._settle_cut(error.code, type_of(error.status_hint))
        yield from self._answer(error)

    def _may_be_retried(self) -> Steps:
        """Remember a failure that cost nothing: the client's next attempt goes on with it."""
        prepared = self._prepared
        if prepared.route.endpoint != "messages":
            return
        now: Moment = yield Now()
        self._setup.joining.failed(
            body_digest(prepared, self._progress.call, self._setup),
            prepared.attribution.key_scope,
            Failure(prepared.exchange_id, prepared.attempt, now.ns),
        )

    def _answer(self, error: FarthingError) -> Steps:
        """Answer in the provider's envelope."""
        exchange_id = self._prepared.exchange_id
        head = answer_of(error, exchange_id, (_EXCHANGE_ID, exchange_id.encode()))
        loop = self._progress.loop
        if loop is not None:
            head = msgspec.structs.replace(head, headers=[*head.headers, (_LOOP, loop)])
        yield Deliver(head)

    def _client_head(
        self, head: Head, body: bytes | None, settled: Settlement | None = None
    ) -> ClientHead:
        """The upstream's head as it came, and ours added."""
        own = [(_EXCHANGE_ID, self._prepared.exchange_id.encode())]
        if self._progress.loop is not None:
            own.append((_LOOP, self._progress.loop))
        if settled is not None and settled.cost is not None:
            total = settled.cost.total
            own.append((_COST, dump_usd(total).encode()))
            if settled.baseline_pico is not None:
                own.append((_SAVED, dump_usd(settled.baseline_pico - total).encode()))
        return ClientHead(head.status, [*head.headers, *own], body)

    def _noted(self, code: str) -> Steps:
        self._progress.note(code)
        yield from self._counted(code)

    def _counted(self, code: str) -> Steps:
        yield from ask(Note(code, self._prepared.exchange_id))
