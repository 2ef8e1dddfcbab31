"""From what was seen of an answer to how the exchange ended; pure.

The rules (architecture, law 5; contract of the settlement):

- cost comes from the provider's usage only, at the card of the day; no card: tokens without money;
- an answer with an error status before any output costs nothing;
- the final usage was not seen: ``unsettled``, from what was reported to the most it can have been;
- a refusal before any output is free, but for the billed categories (API facts 1.3);
- nothing was sent: ``released``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from farthing.core.batch_holds import BatchRows
from farthing.core.breaker_values import Allowed
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import Head
from farthing.core.exchange_prepare import Prepared, restable_model
from farthing.core.exchange_tap import NOTHING_SEEN, Tap
from farthing.core.fanout_steps import ALONE, Passage
from farthing.core.records import Accounting, FinalState, Settlement
from farthing.errors import UnpricedModelError
from farthing.pricing.billing import is_refusal_billed, price
from farthing.pricing.cards import RateCardId
from farthing.pricing.catalog import Catalog
from farthing.pricing.money import Cost
from farthing.wire.answers import MessageUsage
from farthing.wire.envelope import type_of
from farthing.wire.usage import Usage

__all__ = ["Progress", "Verdict", "cut", "failed", "free", "of_message", "settlement"]

_NOTHING: Final = Cost()


class Progress(msgspec.Struct, kw_only=True):
    """How far an exchange has come; what a settlement is made of."""

    call: Call
    prepared: Prepared
    hold_pico: int | None = None
    #: what the rows of a batch hold, until it is known which batch they became
    rows: BatchRows | None = None
    is_open: bool = False
    is_sent: bool = False
    is_settled: bool = False
    #: what the client is told of a loop
    loop: bytes | None = None
    #: what it probes, until it is judged; None: no circuit is in front of it
    allowed: Allowed | None = None
    head: Head | None = None
    tap: Tap = NOTHING_SEEN
    passage: Passage = ALONE
    notes: list[str] = msgspec.field(default_factory=list)

    def note(self, code: str) -> None:
        """Remember what went differently."""
        self.notes.append(code)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a settlement that depends on the answer."""

    state: FinalState
    usage: Usage | None = None
    cost: Cost | None = None
    low_pico: int | None = None
    high_pico: int | None = None
    rate_card_id: RateCardId | None = None
    model: str | None = None
    message_id: str | None = None
    stop_reason: str | None = None
    error_type: str | None = None
    #: why the prompt was not read, as the provider says it
    diagnostics: bytes | None = None
    #: what the client was told where the provider was not asked
    http_status: int | None = None
    notes: tuple[str, ...] = ()
    #: the batch that was created
    batch: BatchRows | None = None


def settlement(
    progress: Progress, verdict: Verdict, now: Moment, accounting: Accounting | None = None
) -> Settlement:
    """The record of an exchange's end."""
    prepared, head, tap = progress.prepared, progress.head, progress.tap
    received_ns, first_ns = progress.call.received.ns, tap.first_ns
    passage, plan = progress.passage, prepared.plan.reasons
    notes = (*prepared.notes, *progress.notes, *verdict.notes)
    is_untouched = not plan or prepared.plan.is_empty
    if passage is not ALONE and passage.is_followed:
        plan = (*plan, *passage.reasons)
        notes = (*notes, *_waited(passage))
        is_untouched = is_untouched and not passage.has_gained
    return Settlement(
        exchange_id=prepared.exchange_id,
        state=verdict.state,
        ended_at=now.at,
        model_served=verdict.model,
        usage=verdict.usage,
        cost=verdict.cost,
        low_pico=verdict.low_pico,
        high_pico=verdict.high_pico,
        rate_card_id=verdict.rate_card_id,
        baseline_pico=_baseline(verdict, accounting, is_untouched=is_untouched),
        http_status=head.status if head else verdict.http_status,
        stop_reason=verdict.stop_reason,
        error_type=verdict.error_type,
        provider_request_id=head.header(b"request-id") if head else None,
        message_id=verdict.message_id,
        attempts=prepared.attempt,
        response_bytes=tap.response_bytes,
        overhead_us=0 if head is None else _overhead_us(progress, head, now),
        ttft_us=None if first_ns is None else max(0, first_ns - received_ns) // 1_000,
        total_us=max(0, now.ns - received_ns) // 1_000,
        plan=plan,
        notes=notes,
        accounting=accounting,
        batch=verdict.batch,
    )


def _baseline(verdict: Verdict, accounting: Accounting | None, *, is_untouched: bool) -> int | None:
    """What the client's own request would have cost, where that is known."""
    if accounting is not None:
        return accounting.baseline_pico
    if verdict.cost is None:
        return None
    cost_pico = verdict.cost.total
    # what costs nothing would have cost nothing
    return cost_pico if is_untouched or not cost_pico else None


def of_message(
    message: MessageUsage, *, asked: str | None, prices: Catalog, now: datetime, batch: bool = False
) -> Verdict:
    """A message whose usage is final."""
    model, usage = message.model or asked, message.usage
    notes: list[str] = []
    cost: Cost | None = None
    card_id: RateCardId | None = None
    try:
        cost, card_id = _priced(message, model, prices, now, batch=batch, notes=notes)
    except Exception:  # noqa: BLE001  protects the call: pricing is ours
        notes.append("fail_open.price")
    if usage.fallback_credit:
        # what makes the provider's invoice differ from usage × card, as far as we know
        notes.append(f"fallback_credit.{usage.fallback_credit}")
    return Verdict(
        state="settled",
        usage=usage,
        cost=cost,
        rate_card_id=card_id,
        model=message.model if card_id is not None else restable_model(message.model),
        message_id=message.message_id,
        stop_reason=message.stop_reason,
        diagnostics=message.diagnostics,
        notes=tuple(notes),
    )


def failed(error_type: str | None) -> Verdict:
    """An error answer before any output: it costs nothing."""
    return Verdict(state="settled", usage=Usage(), cost=_NOTHING, error_type=error_type)


def free() -> Verdict:
    """An answer of an endpoint that costs nothing."""
    return Verdict(state="settled", cost=_NOTHING)


def cut(
    progress: Progress, *, prices: Catalog, now: datetime, error_type: str | None = None
) -> Verdict:
    """What is known of an exchange that ends here, wherever it stands."""
    if not progress.is_sent:
        return Verdict(state="released", error_type=error_type)
    if progress.prepared.route.is_free and progress.rows is None:
        return free()
    if progress.head is not None and progress.head.status >= 300:
        return failed(type_of(progress.head.status))
    meter = progress.tap.meter
    message = meter.message if meter else None
    asked, worst = progress.prepared.model, progress.prepared.worst
    if meter and meter.final_usage_seen and message:
        return of_message(message, asked=asked, prices=prices, now=now)
    low, high = 0, worst.high_pico if worst else progress.prepared.asked_pico
    if message is not None:
        seen = of_message(message, asked=asked, prices=prices, now=now)
        # A refusal may still follow, which is free as long as nothing was said.
        is_billed = meter is not None and meter.has_content
        low = seen.cost.total if seen.cost is not None and is_billed else 0
        high = worst.high_given(message.usage) if worst else None
    return Verdict(
        state="unsettled",
        usage=message.usage if message else None,
        low_pico=low if high is None else min(low, high),
        high_pico=high,
        model=restable_model(message.model) if message else None,
        message_id=message.message_id if message else None,
        stop_reason=message.stop_reason if message else None,
        error_type=error_type,
    )


def _priced(
    message: MessageUsage,
    model: str | None,
    prices: Catalog,
    now: datetime,
    *,
    batch: bool,
    notes: list[str],
) -> tuple[Cost | None, RateCardId | None]:
    card = prices.find(model, on=now) if model else None
    if card is None:
        notes.append("unpriced.model")
        return None, None
    usage = message.usage
    try:
        if message.stop_reason != "refusal" and not usage.iterations:
            return price(usage, card, batch=True if batch else None), card.id
        is_billed = is_refusal_billed(
            message.refusal_category, output_tokens=usage.output, on=now.date()
        )
        if not usage.iterations and not is_billed:
            return _NOTHING, card.id
        cost = price(
            usage,
            card,
            cards=prices.on(now),
            batch=True if batch else None,
            declined_billed=is_billed,
        )
    except UnpricedModelError:
        notes.append("unpriced.usage")
        return None, None
    return cost, card.id


def _waited(passage: Passage) -> tuple[str, ...]:
    """How long it was kept for another's first byte: a decision, no overhead."""
    waited_ns = passage.waited_ns
    return (f"fanout.waited_us.{max(0, waited_ns) // 1_000}",) if waited_ns else ()


def _overhead_us(progress: Progress, head: Head, now: Moment) -> int:
    """Our own time: before the request left and after its answer had come."""
    passage = progress.passage
    before = head.sent_ns - progress.call.received.ns
    if passage is not ALONE:
        before -= passage.waited_ns
    after = now.ns - (progress.tap.ended_ns or now.ns)
    return max(0, before + after) // 1_000
