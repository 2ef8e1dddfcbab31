"""Stops a stream that has cost more than was held for it, where a budget says so.

Theory of operation. What is held is a proof only as far as there is one: allowances are promises,
and an answer with server tools takes as many passes as it likes. While such a stream flows, its
cost so far is counted from below: the usage that the provider has reported; at least one token of
output for each delta that passed; for each result of a server tool one more reading of the prompt,
as if all of it had been cached; and for each web search that found something its fee. When that
passes what is held, the answer is ended behind the event that is passing: the client gets an
``error`` event of ours, the provider's connection is cut. So a stream is never stopped that could
still have fitted.

Rule from outside (API facts, sections 1.4 and 4.3; provider's page on web search, 2026-11): the
result of a server tool comes whole in its ``content_block_start``; that of a search which failed
has an object as its content, no list, and is not billed.

An answer that is compressed cannot take an event of ours; there the client's connection is cut too.

Rules of this file: counting never raises; nothing of the text is kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from farthing.core.exchange_prepare import Prepared
from farthing.core.exchange_settle import of_message
from farthing.errors import BudgetExceeded, UpstreamError
from farthing.pricing.catalog import Catalog
from farthing.pricing.money import show_usd
from farthing.wire.envelope import dump_refusal
from farthing.wire.meter import StreamMeter
from farthing.wire.sse import SseParser

__all__ = ["OverrunWatch", "StreamStopped", "stop_event", "watch_for"]

_DELTA: Final = b"event: content_block_delta"
_START: Final = "content_block_start"
_RESULT: Final = "_tool_result"
_SEARCH: Final = "web_search_tool_result"
_END: Final = b"\n\n"


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")


class _BlockStart(msgspec.Struct, frozen=True):
    content_block: _Block


_decoder: Final = msgspec.json.Decoder(_BlockStart)


class StreamStopped(UpstreamError):
    """A budget ended an answer that had begun, and the answer cannot be told so."""

    code = "budget.cut"
    was_sent = True


class OverrunWatch:
    """What one stream has cost so far, at least."""

    def __init__(
        self,
        meter: StreamMeter,
        *,
        held_pico: int,
        model: str | None,
        prices: Catalog,
        now: datetime,
    ) -> None:
        self._meter = meter
        self.held_pico = held_pico
        self._model = model
        self._prices = prices
        self._now = now
        self._deltas = 0
        self._results = 0
        self._searches = 0
        self._starts = SseParser(only=(_START,))
        self._is_at_end = False
        self.cost_pico = 0

    @property
    def is_over(self) -> bool:
        """Has it cost more than is held, and does an event end here?"""
        return self._is_at_end and self.cost_pico > self.held_pico

    def feed(self, plain: bytes) -> None:
        """A piece of the stream passed, and the meter has read it."""
        self._is_at_end = plain.endswith(_END)
        self._deltas += plain.count(_DELTA)
        for event in self._starts.feed(plain):
            self._count(event.data)
        message = self._meter.message
        if message is None or self._meter.final_usage_seen:
            return
        usage = message.usage
        card = self._prices.find(message.model or self._model or "", on=self._now)
        if card is None:
            return
        searches = self._searches if card.web_search is not None else 0
        known = msgspec.structs.replace(
            usage,
            output=max(usage.output, self._deltas),
            web_search_requests=max(usage.web_search_requests, searches),
        )
        message = msgspec.structs.replace(message, usage=known)
        verdict = of_message(message, asked=self._model, prices=self._prices, now=self._now)
        if verdict.cost is not None:
            again = card.rates_for(usage.prompt).cache_read * usage.prompt
            self.cost_pico = verdict.cost.total + again * self._results

    def _count(self, data: bytes) -> None:
        try:
            block = _decoder.decode(data).content_block
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if block.type.endswith(_RESULT):
            self._results += 1
            self._searches += block.type == _SEARCH and bytes(block.content).startswith(b"[")


def watch_for(
    meter: StreamMeter, prepared: Prepared, prices: Catalog, now: datetime
) -> OverrunWatch | None:
    """The watch over a stream; None where no budget wants it stopped."""
    if prepared.cut_pico is None:
        return None
    return OverrunWatch(
        meter, held_pico=prepared.cut_pico, model=prepared.model, prices=prices, now=now
    )


def stop_event(watch: OverrunWatch) -> bytes:
    """The event that ends the stream for its client."""
    error = BudgetExceeded(
        f"the answer was stopped: it has cost at least {show_usd(watch.cost_pico)}, and "
        f"{show_usd(watch.held_pico)} were held for it; declare larger allowances or more passes, "
        'or set on_overrun = "finish" for the budget'
    )
    return b"event: error\ndata: " + dump_refusal(error).body + _END
