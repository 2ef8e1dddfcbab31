"""Sends the keep-alive pings that are due: with the gateway's own key, through the driver.

Theory of operation. ``core.keepalive`` says which lineage is due; this job sends its ping as an
exchange like any other, so it is on record before it leaves, budgets hold it, and a row says what
it cost: with the task of the lineage, the note ``own.ping``, and its cost as our own cost.

Without a key of its own farthing originates no call (architecture, law 8): then nothing is planned,
and the log says so at the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from farthing.core.engine import Engine
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import ClientHead
from farthing.core.exchange_prepare import Setup
from farthing.core.keepalive import KEEPALIVE, KeepAlive, Pinging
from farthing.core.policy import Policy
from farthing.driver import AsyncDriver
from farthing.driver.ports import AsyncAnswer, Clock, Ids
from farthing.errors import UpstreamError
from farthing.gateway.door import Sending
from farthing.transport.headers import request_headers
from farthing.wire.answers import usage_of_message

__all__ = ["Pinger", "pinger_for"]

_PATH: Final = "/v1/messages"
#: how often to look where nothing is planned; a third of what a ping may be late
_PAUSE_SECONDS: Final = 5.0
_AT_ONCE: Final = 8

_logger = logging.getLogger(__name__)


def pinger_for(  # what a gateway has anyway
    setup: Setup,
    *,
    driver: AsyncDriver,
    upstream: Sending,
    credentials: Sequence[tuple[bytes, bytes]],
    clock: Clock,
    ids: Ids,
) -> Pinger | None:
    """The job, and a place in the setup for what it is to do.

    None where no rule asks for pings, or no key of the gateway's own could pay for them.
    """
    engine = setup.engine
    if engine is None or not _is_asked_for(engine.setup.policy):
        return None
    if not credentials:
        _logger.warning(
            "%s is on, and this gateway has no key of its own: no pings are sent; set "
            "FARTHING_API_KEY or upstream.api_key_file",
            KEEPALIVE,
            extra={"action": "keepalive.no_key"},
        )
        return None
    setup.keepalive = KeepAlive()
    return Pinger(
        keepalive=setup.keepalive,
        engine=engine,
        driver=driver,
        upstream=upstream,
        credentials=credentials,
        clock=clock,
        ids=ids,
    )


def _is_asked_for(policy: Policy) -> bool:
    """It has to be named: by a rule, or by a client that may."""
    rules = (policy.everyone, *policy.task_types.values(), *policy.keys.values())
    return any(KEEPALIVE in rule.switches.on or rule.clients_may_switch_on for rule in rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinger:
    """The job; run it beside the server."""

    keepalive: KeepAlive
    engine: Engine
    driver: AsyncDriver
    upstream: Sending
    #: the header with the gateway's own key
    credentials: Sequence[tuple[bytes, bytes]] = field(repr=False)
    clock: Clock
    ids: Ids

    async def run(self) -> None:
        """Ping until cancelled."""
        while True:
            await self.ping_due()
            pause = self.keepalive.seconds_until_due(self.clock.monotonic_ns())
            await asyncio.sleep(_PAUSE_SECONDS if pause is None else min(pause, _PAUSE_SECONDS))

    async def ping_due(self) -> int:
        """Send what is due now; how many pings read their prefix."""
        places = asyncio.Semaphore(_AT_ONCE)
        due = self.keepalive.due(self.clock.monotonic_ns())
        return sum(await asyncio.gather(*(self._ping(each, places) for each in due)))

    async def _ping(self, pinging: Pinging, places: asyncio.Semaphore) -> bool:
        async with places:
            began = self._now()
            has_read = False
            try:
                has_read = await self._send(pinging, began)
            except UpstreamError as error:
                _log(pinging, type(error).__name__)
            except Exception:  # the job goes on with the other lineages
                _logger.exception("a ping failed", extra={"action": "keepalive.failed"})
            if has_read:
                self.engine.accounts.kept_warm(
                    pinging.lineage_id,
                    pinging.view,
                    began_at=began.at,
                    first_byte_at=self.clock.now(),
                )
            self.keepalive.pinged(pinging, began.ns, has_read=has_read)
            return has_read

    async def _send(self, pinging: Pinging, began: Moment) -> bool:
        """The exchange; did it read what it was sent for?"""
        call = Call(
            exchange_id=self.ids.new_id("ex"),
            method="POST",
            path=_PATH,
            headers=pinging.headers,
            received=began,
            body=pinging.body,
            key_name=pinging.key_name,
            ping_for=pinging.attribution,
        )
        given = [(name.encode(), text.encode("latin-1")) for name, text in pinging.headers.items()]
        headers = [*request_headers(given), *self.credentials]

        async def send(body: bytes) -> AsyncAnswer:
            return await self.upstream.send("POST", (_PATH.encode(), b""), headers, body)

        status, parts = 0, list[bytes]()
        async with aclosing(self.driver.run(call, send)) as found:
            async for part in found:
                if isinstance(part, ClientHead):
                    status = part.status
                    parts.append(part.body or b"")
                else:
                    parts.append(part)
        if status != 200:
            _log(pinging, f"status {status}")
            return False
        return usage_of_message(b"".join(parts)).usage.cache_read > 0

    def _now(self) -> Moment:
        return Moment(self.clock.now(), self.clock.monotonic_ns())


def _log(pinging: Pinging, why: str) -> None:
    _logger.info(
        "no ping for lineage %s: %s", pinging.lineage_id, why, extra={"action": "keepalive.failed"}
    )
