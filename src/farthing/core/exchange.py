"""One exchange as a conversation: it yields effects and receives their replies.

Theory of operation
-------------------
``converse`` is a generator. It decides; a driver does (``farthing.driver``), and throws what goes
wrong back in at the place that asked: ``UpstreamError`` and ``LedgerError`` as they come, and
``Interrupted`` when the driver itself is stopped (the client left, the process ends). The order is
always::

    Reserve?  Open  Wait?  Send  ( Read  Settle  Deliver     a plain answer: headers say its cost
                                 | Deliver  Relay…  Settle ) a stream: its first byte never waits

An exchange settles once. ``Settle`` may be *asked for* again after an interruption in its middle,
because a ledger counts the same settlement once. What was seen decides how (``exchange_settle``).

Our own troubles do not become the client's: a ledger that cannot write is noted and the call goes
on; only a budget may say no, and whether it says no when it cannot be asked is the operator's
choice.

Rules of this file: an effect that waits is asked for only inside ``_steps``; what follows an
interruption are ``Prompt`` effects.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import msgspec

from farthing.core.batch_admission import admit_batch, created_batch
from farthing.core.batch_holds import BatchRows
from farthing.core.batches import created_id
from farthing.core.exchange_batch import book_results
from farthing.core.exchange_breaker import began, enter, leave
from farthing.core.exchange_budget import admit, admit_unpriced, fitted
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import (
    Body,
    ClientHead,
    Conversation,
    Deliver,
    Effect,
    Head,
    Interrupted,
    Now,
    Read,
    Relay,
    Send,
    ask,
)
from farthing.core.exchange_levers import Levers
from farthing.core.exchange_loops import check, is_due
from farthing.core.exchange_overrun import OverrunWatch, StreamStopped, stop_event, watch_for
from farthing.core.exchange_parts import ExchangeParts, Steps
from farthing.core.exchange_prepare import Setup, bounded, prepare
from farthing.core.exchange_settle import Verdict, cut, failed, free
from farthing.core.exchange_tap import BatchLines, Tap
from farthing.core.keepalive_steps import cancel_pings
from farthing.errors import BudgetExceeded, FarthingError, UpstreamError
from farthing.wire.envelope import is_retryable, parse_error, type_of
from farthing.wire.meter import StreamMeter

__all__ = ["converse"]

_EVENT_STREAM: Final = "text/event-stream"
#: how a refusal of a mark names it
_MARK: Final = b"cache_control"


def converse(call: Call, setup: Setup) -> Conversation:
    """The whole conversation about one call."""
    entry = enter(call, setup)
    if isinstance(entry, ClientHead):
        yield Deliver(entry)
        return
    exchange = _Exchange(call, setup, prepare(call, setup, entry.body_digest), entry)
    try:
        yield from exchange.steps()
    except Exception:  # protects the ledger: whatever ends a conversation, its row is closed
        yield from exchange.give_up()
        raise
    finally:
        exchange.leave()


def _is_stream(head: Head) -> bool:
    return (head.header(b"content-type") or "").startswith(_EVENT_STREAM)


class _Exchange(ExchangeParts):
    """The steps of one exchange, from the budget to the last byte."""

    def steps(self) -> Steps:
        """From the budget to the last byte."""
        prepared = self._prepared
        if self._setup.keepalive is not None:
            cancel_pings(self._progress, self._setup)
        if prepared.loops is not None and is_due(prepared.loops, prepared.levers):
            loop = yield from check(self._progress, self._setup)
            if loop is not None:
                yield from self._end_refused(loop)
                return
        if prepared.levers is not None:
            yield from self._decide(prepared.levers)
        if self._has_budget() and (yield from self._is_refused()):
            return
        yield from self._open()
        head = yield from self._send()
        if head is not None and head.status == 400 and prepared.levers is not None:
            head = yield from self._without_marks(head, prepared.levers)
        if head is not None:
            yield from self._answered(head)

    def _answered(self, head: Head) -> Steps:
        """The steps that this answer takes."""
        route, rows = self._prepared.route, self._progress.rows
        if head.status >= 300:
            return self._error_answer(head)
        if route.batch_id is not None:
            return self._batch_results(head, route.batch_id)
        if route.endpoint == "messages":
            return self._stream(head) if _is_stream(head) else self._message(head)
        if rows is not None:
            return self._batch_created(head, rows)
        return self._pass_on(head)

    def give_up(self) -> Steps:
        """End an exchange that was interrupted, by ``Prompt`` effects alone."""
        progress = self._progress
        yield from progress.passage.left()
        if progress.is_settled:
            return
        if progress.is_open or self._is_opening:
            said = progress.tap.meter.error if progress.tap.meter else None
            # An error event is the last of its stream: who stops reading there interrupts nothing.
            progress.note("answer.incomplete" if said else "interrupted")
            now: Moment = yield Now()
            error_type = said.type if said else None
            verdict = cut(progress, prices=self._setup.prices, now=now.at, error_type=error_type)
            yield from self._settle(verdict)
        elif self._prepared.cap_pico is not None or self._prepared.budget_keys:
            yield from self._release()

    def leave(self) -> None:
        """However it ended: what it probes is not left waiting."""
        progress, breakers = self._progress, self._setup.breakers
        if breakers is None or (progress.allowed is None and progress.hold_pico is None):
            return
        leave(progress, breakers)

    # -- before sending ---------------------------------------------------------------------------

    def _has_budget(self) -> bool:
        """Is there anything to ask before it is sent? Mostly not."""
        prepared, call = self._prepared, self._progress.call
        return (
            prepared.cap_pico is not None
            or prepared.budget_problem is not None
            or call.rows is not None
            or bool(self._setup.board.budgets)
        )

    def _is_refused(self) -> Generator[Effect[Any], Any, bool]:
        """Hold the worst case in every budget; answer the client if it does not fit."""
        prepared, call, setup = self._prepared, self._progress.call, self._setup
        problem = prepared.budget_problem
        # Whatever a client says of a budget of its own: it has no part in the operator's.
        if problem is not None and (yield from self._unheld("budget.unreadable", problem)):
            return True
        if call.rows is not None:
            refusal = yield from admit_batch(call.rows, self._progress, setup)
        elif not setup.board.budgets and prepared.cap_pico is None:
            return False
        elif prepared.route.endpoint == "messages":
            refusal = yield from admit(call, self._progress, setup)
        else:
            refusal = admit_unpriced(call, prepared, setup)
        return refusal is not None and (yield from self._refuse(refusal.code, refusal.message))

    def _unheld(self, code: str, why: str) -> Generator[Effect[Any], Any, bool]:
        """No hold could be made: go on, or refuse where budgets fail closed."""
        if self._setup.budget_fault == "closed":
            message = f"the budget cannot be kept: {why}; correct that, or let budgets fail open"
            return (yield from self._refuse(code, message))
        yield from self._noted(code)
        return False

    def _refuse(self, code: str, message: str) -> Generator[Effect[Any], Any, bool]:
        self._progress.note(code)
        yield from self._end_refused(BudgetExceeded(message))
        return True

    def _end_refused(self, error: FarthingError) -> Steps:
        """Nothing is sent: a row, and an answer of ours."""
        yield from self._open()
        status = error.status_hint
        yield from self._settle(
            Verdict(state="released", error_type=type_of(status), http_status=status)
        )
        yield from self._answer(error)

    def _send(self) -> Generator[Effect[Any], Any, Head | None]:
        progress = self._progress
        passage = progress.passage
        if self._prepared.plan.fanout is not None:
            yield from passage.wait(self._prepared.plan.fanout)
        levers = self._prepared.levers
        if levers is not None:
            now: Moment = yield Now()
            levers.began(now, has_waited=passage.has_gained)
        progress.is_sent = True  # from here on it may have been, whatever interrupts us
        try:
            head: Head = yield Send(self._prepared.plan.body)
        except UpstreamError as error:
            yield from passage.left()
            progress.is_sent = error.was_sent
            yield from self._failed(error)
            if not error.was_sent:
                yield from self._may_be_retried()
            return None
        progress.head = head
        if head.status < 300:
            if levers is not None:
                levers.first_byte(head.at_ns)
            if progress.allowed is not None and progress.allowed.probes:
                began(progress, head, self._setup)
        if passage.is_followed:
            if head.status >= 300:
                yield from passage.left()
            elif not _is_stream(head):
                yield from passage.began()
        return head

    def _decide(self, levers: Levers) -> Steps:
        """What the levers make of the request; the bound of what it costs follows."""
        prepared, setup, call = self._prepared, self._setup, self._progress.call
        plan = yield from levers.decide()
        if plan is None:
            return
        prepared.plan = plan
        if levers.writes_for_an_hour and prepared.worst is not None:
            prepared.worst = bounded(
                call, levers.state.reading.request, setup, prepared.notes, for_an_hour=True
            )

    def _without_marks(
        self, head: Head, levers: Levers
    ) -> Generator[Effect[Any], Any, Head | None]:
        """Did the API refuse a mark of ours? Then the request is sent again without ours, once."""
        tap = yield from self._tap(head, None)
        try:
            body: Body = yield Read(tap, self._setup.answer_limit_bytes)
        except UpstreamError as error:
            yield from self._failed(error)
            return None
        sent = self._prepared.plan.body
        plan = levers.unmarked(sent) if _MARK in tap.decoded(body.raw) else None
        plan = None if plan is None else fitted(self._prepared, plan)
        if plan is None or not body.is_whole:
            yield from self._refused_by_api(head, tap, body)
            return None
        self._prepared.plan = plan
        yield from self._counted("levers.refused")
        return (yield from self._send())

    # -- the answer -------------------------------------------------------------------------------

    def _error_answer(self, head: Head) -> Steps:
        tap = yield from self._tap(head, None)
        try:
            body: Body = yield Read(tap, self._setup.answer_limit_bytes)
        except UpstreamError as error:
            yield from self._failed(error)
            return
        yield from self._refused_by_api(head, tap, body)

    def _refused_by_api(self, head: Head, tap: Tap, body: Body) -> Steps:
        envelope = parse_error(tap.decoded(body.raw))
        yield from self._settle(failed(envelope.type if envelope else type_of(head.status)))
        verdict = head.header(b"x-should-retry")
        hint = {} if verdict is None else {"x-should-retry": verdict}
        if is_retryable(head.status, hint):
            yield from self._may_be_retried()
        yield Deliver(self._client_head(head, body.raw if body.is_whole else None))
        if not body.is_whole:
            yield Deliver(body.raw)
            yield Relay(tap)

    def _message(self, head: Head) -> Steps:
        """A plain answer: held until its usage is read, so that its headers say what it cost."""
        tap = self._plain_tap(head, None) or (yield from self._tap(head, None))
        try:
            body: Body = yield Read(tap, self._setup.answer_limit_bytes)
        except UpstreamError as error:
            yield from self._failed(error)
            return
        plain = tap.decoded(body.raw) if body.is_whole else b""
        settled = yield from self._settle(self._verdict_of(plain, body.at))
        yield Deliver(self._client_head(head, body.raw if body.is_whole else None, settled))
        if not body.is_whole:
            yield Deliver(body.raw)
            yield Relay(tap)

    def _stream(self, head: Head) -> Steps:
        meter = StreamMeter()
        tap = self._plain_tap(head, meter) or (yield from self._tap(head, meter))
        prices, received = self._setup.prices, self._progress.call.received.at
        tap.watch = watch = watch_for(meter, self._prepared, prices, received)
        yield Deliver(self._client_head(head, None))
        try:
            is_over = yield from self._relay(tap)
        except UpstreamError:
            yield from self._progress.passage.left()
            yield from self._settle_cut("answer.cut")
            raise
        if watch is not None and not is_over:
            yield from self._stop(tap, watch)
            return
        error_type = meter.error.type if meter.error else None
        if meter.final_usage_seen:
            yield from self._settle_cut(None, error_type)
        elif meter.problem or tap.is_blind:
            yield from self._settle_cut("answer.unreadable", error_type)
        else:
            yield from self._settle_cut("answer.incomplete", error_type)

    def _relay(self, tap: Tap) -> Generator[Effect[Any], Any, bool]:
        """All chunks; behind the first, who waits for it is let go. False: a budget stopped it."""
        passage = self._progress.passage
        tap.is_awaited = passage.is_followed
        is_over: bool = yield Relay(tap)
        tap.is_awaited = False
        yield from passage.began()
        if not is_over and not tap.is_overrun:
            is_over = yield Relay(tap)
        return is_over

    def _stop(self, tap: Tap, watch: OverrunWatch) -> Steps:
        """End a stream that has cost more than is held: the driver cuts what is behind us."""
        yield from self._settle_cut("budget.cut", type_of(BudgetExceeded.status_hint))
        if tap.is_encoded:
            raise StreamStopped("the budget does not hold the rest of this answer")
        yield Deliver(stop_event(watch))

    def _batch_created(self, head: Head, rows: BatchRows) -> Steps:
        """What was held for the creation of a batch passes to its rows, before anybody knows it."""
        tap = yield from self._tap(head, None)
        try:
            body: Body = yield Read(tap, self._setup.answer_limit_bytes)
        except UpstreamError as error:
            yield from self._failed(error)
            return
        batch_id = created_id(tap.decoded(body.raw))
        if batch_id is None:
            yield from self._settle_cut("batch.unreadable")
        else:
            held = created_batch(rows, batch_id, self._setup)
            yield from self._settle(msgspec.structs.replace(free(), batch=held))
        yield Deliver(self._client_head(head, body.raw if body.is_whole else None))
        if not body.is_whole:
            yield Deliver(body.raw)
            yield Relay(tap)

    def _pass_on(self, head: Head) -> Steps:
        """An answer that says nothing about money."""
        tap = yield from self._tap(head, None)
        yield Deliver(self._client_head(head, None))
        try:
            yield Relay(tap)
        except UpstreamError:
            yield from self._settle_cut("answer.cut")
            raise
        yield from self._settle(
            free() if self._prepared.route.is_free else Verdict(state="settled")
        )

    def _batch_results(self, head: Head, batch_id: str) -> Steps:
        """Book each result as it passes; reading them again books nothing twice."""
        lines = BatchLines()
        tap = yield from self._tap(head, lines)
        yield Deliver(self._client_head(head, None))
        is_over = False
        try:
            while not is_over:
                is_over = yield from ask(Relay(tap))
                if is_over:
                    lines.finish()
                lines.unbooked += yield from book_results(
                    lines.take(), batch_id, self._progress, self._setup
                )
        except (UpstreamError, Interrupted):
            yield from book_results(lines.take(), batch_id, self._progress, self._setup)
            raise
        if lines.unreadable or tap.is_blind:
            yield from self._noted("batch.unreadable")
        elif not lines.unbooked and head.status == 200:
            self._setup.batches.read_whole(batch_id)
