"""The ASGI callable: which door a call takes, and what becomes of every way it can fail.

Theory of operation. A raw callable, no framework: routing is a few string tests, and half of the
throughput would go into more. Our own pages come first, by exact prefix; everything else belongs to
the Claude API and is relayed, known or not.

However a call fails, the client sees what it would have seen without us or an error in Anthropic's
envelope: our refusals before anything was sent (the server reads on and drops what is left of a
refused body, so that its sender comes to read why); the upstream's absence as 502 or 504, which
clients try again; an answer cut short as a connection cut short; our own stopping, if it cannot
wait, as 503. A client that has left sees nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from farthing.core.exchange_call import Moment
from farthing.driver.ports import Clock, Ids
from farthing.errors import EngineBug, FarthingError
from farthing.gateway.access import Gate
from farthing.gateway.asgi import App, Receive, Scope, Send, answer_error
from farthing.gateway.bodies import ClientGone
from farthing.gateway.call import Call, call_of
from farthing.gateway.door import Cut
from farthing.gateway.metrics import Metrics
from farthing.gateway.routes import Routes, check_path
from farthing.gateway.watching import ClientWatch, ClientWatches

__all__ = ["Door", "Doors", "Stopping", "create_app"]

_EXCHANGE_ID: Final = b"x-farthing-exchange-id"
#: nginx's status for a client that did not wait; it is counted, nobody sees it
_CLIENT_GONE: Final = 499
_OWN_PAGES: Final = frozenset({"/livez", "/readyz", "/metrics"})
_OWN_PREFIX: Final = "/farthing/"

_logger = logging.getLogger(__name__)

#: answers a call; sets ``call.status`` when the head of the answer has been sent
Door = Callable[[Call, ClientWatch], Awaitable[None]]
_OwnPages = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What the app hands calls to."""

    own_pages: _OwnPages
    #: whatever is the Claude API's
    exchanges: Door
    routes: Routes
    gate: Gate
    metrics: Metrics
    clock: Clock
    ids: Ids
    #: hears of calls that were not let through
    refused: Callable[[Call, FarthingError], None] = lambda call, error: None  # noqa: ARG005  deaf


def create_app(doors: Doors) -> App:
    """The gateway as an ASGI application."""
    frame = _Frame(doors)

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope.get("path", "")
        if path in _OWN_PAGES or path.startswith(_OWN_PREFIX):
            return doors.own_pages(scope, receive, send)
        return frame.serve(scope, receive, send)

    return app


class Stopping(FarthingError):
    """The gateway is stopping and could not wait for the answer; try again."""

    code = "gateway.stopping"
    status_hint = 503


class _Frame:
    """What every relayed call goes through, whichever door it takes."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._metrics = doors.metrics
        self._watches = ClientWatches()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, one way or another."""
        if scope["type"] != "http":
            return
        call = self._call(scope, receive, send)
        watch = ClientWatch(receive, self._watches)
        self._metrics.in_flight += 1
        try:
            check_path(call.path)
            self._doors.gate.admit(call)
            await self._doors.exchanges(call, watch)
        except (Cut, ClientGone):
            call.status = call.status or _CLIENT_GONE
        except FarthingError as error:
            watch.stop()
            self._doors.refused(call, error)
            await _refuse(call, error)
        except asyncio.CancelledError:
            if not watch.forgive():
                await _refuse(call, Stopping())
                raise
            call.status = _CLIENT_GONE
        except Exception as bug:  # the process serves other calls: this one gets an answer
            _logger.exception("call failed", extra={"action": "call.failed"})
            watch.stop()
            await _refuse(call, EngineBug(f"the gateway failed on this call: {type(bug).__name__}"))
        finally:
            watch.stop()
            self._metrics.in_flight -= 1
            self._metrics.answered(call.route.name, call.status)

    def _call(self, scope: Scope, receive: Receive, send: Send) -> Call:
        doors = self._doors
        return call_of(
            scope,
            receive,
            send,
            routes=doors.routes,
            exchange_id=doors.ids.new_id("ex"),
            received=Moment(doors.clock.now(), doors.clock.monotonic_ns()),
        )


async def _refuse(call: Call, error: FarthingError) -> None:
    """Say what went wrong, if nothing has been said yet; else the connection is cut."""
    if call.status:
        return
    call.status = error.status_hint
    headers = [(_EXCHANGE_ID, call.exchange_id.encode())]
    await answer_error(call.send, error, headers=headers, request_id=call.exchange_id)
