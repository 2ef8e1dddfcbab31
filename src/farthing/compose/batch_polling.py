"""Asks after batches that nobody has read, and books their results: with the gateway's own key.

Theory of operation. ``BatchPolling`` says which batch is due; this job asks the Claude API about it
and, when it has ended, reads its results through the driver like any client, into nothing. So there
is one way to book results, and a batch that a client reads meanwhile is booked once.

Without a key of its own farthing originates no call (architecture, law 8): it cannot poll, and says
so in the log when a batch is created, and on ``/readyz``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from farthing.core.batches import ended_batch
from farthing.core.exchange_call import Call, Moment
from farthing.driver import AsyncDriver
from farthing.driver.jobs.batch_polling import BatchPolling
from farthing.driver.jobs.batch_register import BatchRegister
from farthing.driver.ports import AsyncAnswer, Clock, Ids
from farthing.errors import FarthingError
from farthing.gateway.door import Sending
from farthing.version import VERSION

__all__ = ["BatchPoller", "why_not_polled"]

_BATCHES: Final = "/v1/messages/batches"
_VERSION: Final = (b"anthropic-version", b"2023-06-01")
_AGENT: Final = (b"user-agent", f"farthing/{VERSION}".encode())
_LONGEST_ANSWER_BYTES: Final = 1024 * 1024
_NOT_FOUND: Final = 404

_logger = logging.getLogger(__name__)


class _Status(msgspec.Struct, frozen=True):
    processing_status: str
    results_url: str | None = None
    archived_at: str | None = None


_status_decoder = msgspec.json.Decoder(_Status)
_What = Literal["runs", "ended", "gone", "failed"]


def why_not_polled(register: BatchRegister, *, has_key: bool, poll_seconds: float) -> str | None:
    """What an operator should know about batches that nobody asks about; None: all are."""
    count = len(register.waiting)
    if not count or (has_key and poll_seconds):
        return None
    why = "batches.poll_seconds is 0" if has_key else "this gateway has no key of its own"
    are = "batch is" if count == 1 else "batches are"
    return f"{count} {are} not polled, because {why}: booked when a client reads the results"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BatchPoller:
    """The job; run it beside the server."""

    polling: BatchPolling
    register: BatchRegister
    driver: AsyncDriver
    upstream: Sending
    #: the header with the gateway's own key
    credentials: Sequence[tuple[bytes, bytes]]
    clock: Clock
    ids: Ids

    async def run(self) -> None:
        """Poll until cancelled."""
        woken = asyncio.Event()
        self.register.created_one = woken.set
        while True:
            woken.clear()
            self.polling.watch(self.register.waiting, self._now())
            for batch_id in self.polling.due(self._now()):
                await self._ask(batch_id)
            pause = self.polling.seconds_until_due(self._now())
            try:
                await asyncio.wait_for(woken.wait(), pause)
            except TimeoutError:
                continue

    async def _ask(self, batch_id: str) -> None:
        """One question about one batch, and what follows from the answer."""
        found: _What = "runs"
        try:
            if not self._is_over(batch_id):
                found = await self._status(batch_id)
            if found == "ended":
                found = await self._book(batch_id)
        except FarthingError as error:
            _log("failed", batch_id, type(error).__name__, level=logging.INFO)
            found = "failed"
        except Exception:  # the job goes on with the other batches
            _logger.exception("polling failed", extra={"action": "batch.poll_failed"})
            found = "failed"
        self._conclude(batch_id, found)

    def _conclude(self, batch_id: str, found: _What) -> None:
        if self._is_over(batch_id):
            self.polling.forget(batch_id)
        elif found == "gone" or self.polling.is_gone(batch_id, self._now()):
            self.register.lost(batch_id)
            self.polling.forget(batch_id)
            why = "its results are gone, or belong to another workspace; it is not in the ledger"
            _log("lost", batch_id, why, level=logging.WARNING)
        elif found == "failed":
            self.polling.failed(batch_id, self._now())
        else:
            self.polling.runs(batch_id, self._now())

    def _is_over(self, batch_id: str) -> bool:
        """Is it booked already, because a client has read it?"""
        batch = self.register.find(batch_id)
        return batch is None or batch.ending is not None

    async def _status(self, batch_id: str) -> _What:
        answer = await self._get(f"{_BATCHES}/{batch_id}")
        try:
            body = await _short_body(answer)
        finally:
            answer.close()
        if answer.status == _NOT_FOUND:
            return "gone"
        if answer.status != 200:
            return "failed"
        try:
            status = _status_decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return "failed"
        if status.archived_at is not None:
            return "gone"
        if status.processing_status != "ended":
            return "runs"
        ended = ended_batch(body)
        if ended is not None:
            self.register.has_ended(*ended)
        return "ended"

    async def _book(self, batch_id: str) -> _What:
        """Read the results as a client would; the exchange books them line by line."""
        path = f"{_BATCHES}/{batch_id}/results"
        call = Call(
            exchange_id=self.ids.new_id("ex"),
            method="GET",
            path=path,
            headers={},
            received=self._now(),
        )

        async def send(_: bytes) -> AsyncAnswer:
            return await self._get(path)

        async with aclosing(self.driver.run(call, send)) as parts:
            async for _ in parts:
                pass
        if not self.register.results_passed(batch_id):
            return "failed"
        _log("booked", batch_id, "all of its results", level=logging.INFO)
        return "ended"

    async def _get(self, path: str) -> AsyncAnswer:
        headers = [_VERSION, _AGENT, *self.credentials]
        return await self.upstream.send("GET", (path.encode(), b""), headers)

    def _now(self) -> Moment:
        return Moment(self.clock.now(), self.clock.monotonic_ns())


async def _short_body(answer: AsyncAnswer) -> bytes:
    """The body; nothing of one that is longer than what is said about a batch."""
    parts, size = list[bytes](), 0
    async for chunk in answer.chunks():
        size += len(chunk)
        if size > _LONGEST_ANSWER_BYTES:
            return b""
        parts.append(chunk)
    return b"".join(parts)


def _log(what: str, batch_id: str, why: str, *, level: int) -> None:
    _logger.log(
        level,
        "batch %s %s: %s",
        batch_id,
        what,
        why,
        extra={"action": f"batch.{what}", "batch_id": batch_id},
    )
