"""Books the results of a Message Batch when they pass: one exchange per item, at the batch price.

Its id derives from the batch and the item, so results that are read again are on record already;
of a batch that is booked nothing is looked at twice, also when its rows have gone. A batch that was
created through here gives its items the task of its creation (``core.batches``) and the budgets
that held them then. Only a succeeded item costs something (API facts, section 3).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from farthing.core.exchange_budget import batch_keys
from farthing.core.exchange_call import Moment
from farthing.core.exchange_effects import Effect, Note, Now, Open, Settle, ask
from farthing.core.exchange_prepare import Setup
from farthing.core.exchange_settle import Progress, Verdict, failed, of_message
from farthing.core.records import Opened, Settlement
from farthing.errors import LedgerError
from farthing.wire.answers import BatchResult

__all__ = ["book_results", "item_id"]


def item_id(batch_id: str, custom_id: str) -> str:
    """The exchange id of one item of a batch."""
    return f"{batch_id}:{custom_id}"


def book_results(
    results: Iterable[BatchResult], batch_id: str, progress: Progress, setup: Setup
) -> Generator[Effect[Any], Any, int]:
    """Open and settle what these items cost; how many a ledger that cannot write did not take."""
    known = setup.batches.find(batch_id)
    if known is not None and known.ending == "booked":
        return 0
    now: Moment | None = None
    unbooked = 0
    for result in results:
        now = now or (yield from ask(Now()))
        exchange_id = item_id(batch_id, result.custom_id)
        try:
            yield from ask(Open(_opened(batch_id, result, progress, setup)))
            yield from ask(Settle(_settled(exchange_id, result, setup, now)))
        except LedgerError:
            yield from ask(Note("ledger.batch_item_failed", exchange_id))
            unbooked += 1
    return unbooked


def _opened(batch_id: str, result: BatchResult, progress: Progress, setup: Setup) -> Opened:
    prepared, known = progress.prepared, setup.batches.find(batch_id)
    attribution = known.attribution if known else prepared.attribution
    scope = known.scope if known else None
    if known is None and setup.task_cap_pico is not None:
        scope = prepared.scope
    return Opened(
        exchange_id=item_id(batch_id, result.custom_id),
        opened_at=progress.call.received.at,
        attribution=attribution,
        endpoint="batch_item",
        path="GET /v1/messages/batches",
        request_bytes=0,
        body_digest=prepared.body_digest,
        engine_version=setup.engine_version,
        scope=scope,
        budget_keys=setup.batches.keys_held(batch_id, result.custom_id)
        or batch_keys(result, attribution, setup, progress.call.received.at),
    )


def _settled(exchange_id: str, result: BatchResult, setup: Setup, now: Moment) -> Settlement:
    verdict = _verdict(result, setup, now)
    return Settlement(
        exchange_id=exchange_id,
        state="settled",
        ended_at=now.at,
        model_served=verdict.model,
        usage=verdict.usage,
        cost=verdict.cost,
        rate_card_id=verdict.rate_card_id,
        baseline_pico=verdict.cost.total if verdict.cost is not None else None,
        stop_reason=verdict.stop_reason,
        error_type=verdict.error_type,
        message_id=verdict.message_id,
        notes=verdict.notes,
    )


def _verdict(result: BatchResult, setup: Setup, now: Moment) -> Verdict:
    if result.message is not None:
        return of_message(result.message, asked=None, prices=setup.prices, now=now.at, batch=True)
    return failed(result.error.type if result.error else result.outcome)
