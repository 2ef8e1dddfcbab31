"""The door for Message Batches: sees which are created, and lets their results pass through here.

Theory of operation. A batch is created in one call and read in another, hours later, from the
``results_url`` that the provider names. This door stands in front of the other one and looks at
three kinds of answers on their way to the client: a batch that was created is remembered with the
task it was created for; the URL in batch objects is made to name the address that the client itself
used (``results_url``, ADR 0016); and when results have passed to their end, the batch is booked.

Where a budget is there to be asked, the body of a creation is taken in first and its rows are
bounded (``gateway.batch_bodies``); the exchange holds them, or refuses the batch. A key that is
limited to some models has the models of its rows looked at on the same way.

Rules of this file: answers that describe batches are held, up to a limit, because their length may
change; everything else passes as it comes. Whatever cannot be read goes to the client unchanged.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from farthing.core.batch_scan import BatchReader
from farthing.core.batches import begun_batch, ended_batch
from farthing.core.exchange_prepare import Setup
from farthing.driver.jobs.batch_register import BatchRegister
from farthing.driver.ports import Decoding, Ledger
from farthing.errors import UpstreamError
from farthing.gateway.app import Door
from farthing.gateway.asgi import Send, header
from farthing.gateway.batch_bodies import SpooledBody
from farthing.gateway.bodies import declared_length
from farthing.gateway.call import Call
from farthing.gateway.door import Cut
from farthing.gateway.key_limits import LimitedRows
from farthing.gateway.results_url import client_origin, with_results_urls
from farthing.gateway.watching import ClientWatch

__all__ = ["BatchDoor", "BatchSetup"]

_PREFIX: Final = "/v1/messages/batches"
_OBJECTS: Final = re.compile(rf"{_PREFIX}(?:/[^/]+(?:/cancel)?)?/?")
_RESULTS: Final = re.compile(rf"{_PREFIX}/([^/]+)/results")
#: a list of a thousand batches is half of that; what is longer passes unread
_LONGEST_ANSWER_BYTES: Final = 4 * 1024 * 1024
_ENCODING: Final = b"accept-encoding"
_CODING: Final = b"content-encoding"
#: tells the client that one value of this body is not the provider's
_REWRITTEN: Final = (b"x-farthing-rewritten", b"results_url")

_logger = logging.getLogger(__name__)

_Message = MutableMapping[str, Any]
_What = Literal["created", "described"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSetup:
    """What the door works with."""

    register: BatchRegister
    #: says whose call created a batch
    ledger: Ledger
    decoding: Decoding
    #: the base URL of the Claude API; None: results URLs stay as they are
    rewritten_from: str | None
    #: what exchanges share: its budgets hold the rows of a batch
    exchanges: Setup
    #: counts what an operator may want to know
    note: Callable[[str, str], None]


class BatchDoor:
    """``Door`` that sees batches pass on the way to another one."""

    def __init__(self, door: Door, setup: BatchSetup) -> None:
        self._door = door
        self._setup = setup

    def __call__(self, call: Call, watch: ClientWatch) -> Awaitable[None]:
        """Answer one call; what is no batch's costs no more than this look at its path."""
        if not call.path.startswith(_PREFIX):
            return self._door(call, watch)
        return self._watched(call, watch)

    async def _watched(self, call: Call, watch: ClientWatch) -> None:
        held = self._look_at(call)
        spooled = await self._held_rows(call)
        try:
            await self._door(call, watch)
        except Cut as cut:
            if held is None or not held.lets_go() or not isinstance(cut.__cause__, UpstreamError):
                raise
            raise cut.__cause__ from None
        finally:
            if spooled is not None:
                spooled.close()
            results = _RESULTS.fullmatch(call.path)
            if results is not None:
                self._setup.register.results_passed(results[1])

    async def _held_rows(self, call: Call) -> SpooledBody | None:
        """Look at the rows of a batch that is to be created, if a budget or its key asks for it."""
        if not _creates(call):
            return None
        limited, reader = _limited_rows(call), self._reader(call)
        if limited is None and reader is None:
            return None
        declared_length(call.headers, call.route.max_body_bytes)
        is_plain = _is_plain(call)

        def look(piece: bytes) -> None:
            if limited is not None and is_plain:
                limited.feed(piece)
            if reader is not None:
                reader.feed(piece)

        spooled = SpooledBody(call.receive, call.route.max_body_bytes)
        try:
            await spooled.scan(look)
            if limited is not None:
                limited.finish()
            if reader is not None:
                call.rows = await asyncio.to_thread(reader.finish)
        except BaseException:  # whatever it was, the file goes
            spooled.close()
            raise
        call.receive = spooled.receive
        return spooled

    def _reader(self, call: Call) -> BatchReader | None:
        """What bounds the rows, if there is a budget to hold them."""
        exchanges = self._setup.exchanges
        is_capped = exchanges.task_cap_pico is not None or _asks_for_budget(call)
        if not (is_capped or exchanges.board.budgets):
            return None
        return BatchReader(
            exchanges.prices,
            call.received.at,
            exchanges.board.allowances,
            is_plain=_is_plain(call),
        )

    def _look_at(self, call: Call) -> _Held | None:
        if call.method not in {"GET", "POST"} or not _OBJECTS.fullmatch(call.path):
            return None
        is_create = _creates(call)
        origin = self._origin(call)
        if origin is not None:
            # a body that is to be changed must be readable; a compressed one cannot be spliced
            kept = [field for field in call.headers if field[0] != _ENCODING]
            call.headers = [*kept, (_ENCODING, b"identity")]
        if not is_create and origin is None:
            return None
        held = _Held(call, self._setup, origin, "created" if is_create else "described")
        call.send = held.send
        return held

    def _origin(self, call: Call) -> str | None:
        """Where results URLs are to point; None where this call's answer stays as it is."""
        bypass = (call.header(b"x-farthing-bypass") or b"").strip().lower()
        if self._setup.rewritten_from is None or bypass in {b"1", b"true", b"yes", b"on"}:
            return None
        return client_origin(call.headers)


def _creates(call: Call) -> bool:
    return call.method == "POST" and call.path.rstrip("/") == _PREFIX


def _limited_rows(call: Call) -> LimitedRows | None:
    key = call.key
    return None if key is None or key.models is None else LimitedRows(key)


def _is_plain(call: Call) -> bool:
    """Are the bytes of its body what its reader reads? Not where they are compressed."""
    codings = {value.strip().lower() for name, value in call.headers if name == _CODING}
    return codings <= {b"", b"identity"}


def _asks_for_budget(call: Call) -> bool:
    return call.header(b"x-farthing-budget-usd") is not None


class _Held:
    """One answer on its way to the client, kept until it is whole."""

    def __init__(self, call: Call, setup: BatchSetup, origin: str | None, what: _What) -> None:
        self._call = call
        self._send: Send = call.send
        self._setup = setup
        self._origin = origin
        self._what = what
        self._start: _Message | None = None
        self._parts: list[bytes] = []
        self._size = 0

    async def send(self, message: _Message) -> None:
        """``Send`` that holds what says 200, up to the limit."""
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._parts.append(message.get("body", b""))
        self._size += len(self._parts[-1])
        is_last = not message.get("more_body", False)
        if is_last or self._size > _LONGEST_ANSWER_BYTES:
            await self._pass(self._start, is_last=is_last)

    def lets_go(self) -> bool:
        """Is the answer still held, all of it? Then another one can be given in its place."""
        if self._start is None:
            return False
        self._call.send, self._call.status = self._send, 0
        return True

    async def _pass(self, start: _Message, *, is_last: bool) -> None:
        """Give the client what was held; a whole answer is looked at first."""
        body = b"".join(self._parts)
        self._start, self._parts = None, []
        if is_last:
            start, body = self._seen(start, body)
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": not is_last})

    def _seen(self, start: _Message, body: bytes) -> tuple[_Message, bytes]:
        encoding = header(start["headers"], b"content-encoding") or b"identity"
        plain = self._plain(body, encoding.decode("latin-1"))
        if self._what == "created":
            self._remember(plain)
        elif (ended := ended_batch(plain)) is not None:
            self._setup.register.has_ended(*ended)
        if self._origin is None:
            return start, body
        if encoding.lower() != b"identity":
            self._setup.note("batch.url_compressed", self._call.exchange_id)
            return start, body
        upstream = self._setup.rewritten_from or ""
        changed = with_results_urls(body, upstream=upstream, client=self._origin)
        if changed is None:
            return start, body
        return {**start, "headers": [*_resized(start["headers"], changed), _REWRITTEN]}, changed

    def _plain(self, body: bytes, encoding: str) -> bytes:
        if encoding.lower() == "identity":
            return body
        decoder = self._setup.decoding(encoding)
        try:
            return b"" if decoder is None else decoder.decode(body)
        except ValueError:
            return b""

    def _remember(self, body: bytes) -> None:
        call, setup = self._call, self._setup
        has_budget = setup.exchanges.task_cap_pico is not None or _asks_for_budget(call)
        batch = begun_batch(body, setup.ledger.row(call.exchange_id), has_budget=has_budget)
        if batch is None:
            setup.note("batch.not_remembered", call.exchange_id)
            return
        setup.register.created(batch)
        task_id = batch.attribution.task_id
        _logger.info(
            "batch %s created",
            batch.batch_id,
            extra={"action": "batch.created", "batch_id": batch.batch_id, "task_id": task_id},
        )


def _resized(headers: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    """The header of an answer whose body has another length now."""
    length = b"%d" % len(body)
    return [(name, length if name == b"content-length" else value) for name, value in headers]
