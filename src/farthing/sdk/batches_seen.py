"""Message Batches as a program creates and reads them: whose they are, and when they are booked.

A batch is created in one call and read in another, perhaps by another program. The creating call's
task is remembered with the batch (``core.batches``), so that its items are booked on it, whoever
reads the results through here. Where a budget is there to be asked, the rows of a creation are
bounded on its way (``core.batch_scan``), and held or refused like any call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import httpx2
import msgspec

from farthing.core.batch_scan import BatchReader
from farthing.core.batches import begun_batch, ended_batch
from farthing.core.exchange_call import Call, route_of
from farthing.core.exchange_prepare import Setup
from farthing.driver.jobs.batch_register import BatchRegister
from farthing.sdk.booking import TaskLedger

__all__ = ["BatchesSeen"]

_CREATION: Final = ("POST", "/v1/messages/batches")
_BUDGET: Final = "x-farthing-budget-usd"

_logger = logging.getLogger(__name__)


class BatchesSeen:
    """Keeps the register of batches; ``lock`` is the one that guards the setup."""

    def __init__(
        self,
        register: BatchRegister,
        ledger: TaskLedger,
        *,
        lock: AbstractContextManager[Any],
        setup: Setup,
    ) -> None:
        self._register = register
        self._ledger = ledger
        self._lock = lock
        self._setup = setup

    def with_rows(self, call: Call, body: Callable[[], bytes]) -> Call:
        """The call with its rows, if it creates a batch and there is a budget to hold them."""
        if (call.method, call.path) != _CREATION:
            return call
        if not self._is_capped(call) and not self._setup.board.budgets:
            return call
        prices, allowances = self._setup.prices, self._setup.board.allowances
        reader = BatchReader(prices, call.received.at, allowances)
        reader.feed(body())
        return msgspec.structs.replace(call, rows=reader.finish())

    def passed(self, call: Call, response: httpx2.Response) -> None:
        """A call was answered, and its body has been read."""
        if response.status_code != 200 or not call.path.startswith(_CREATION[1]):
            return
        if (call.method, call.path) != _CREATION:
            self._described(response)
            return
        creation = self._ledger.row(call.exchange_id)
        batch = begun_batch(response.content, creation, has_budget=self._is_capped(call))
        if batch is None:
            _logger.warning(
                "a batch is not remembered: its items will count for whoever reads them",
                extra={"action": "batch.not_remembered"},
            )
            return
        with self._lock:
            self._register.created(batch)

    def _described(self, response: httpx2.Response) -> None:
        ended = ended_batch(response.content)
        if ended is not None:
            with self._lock:
                self._register.has_ended(*ended)

    def _is_capped(self, call: Call) -> bool:
        """Does its task have a budget of its own?"""
        return self._setup.task_cap_pico is not None or _BUDGET in call.headers

    def closed(self, call: Call) -> None:
        """The stream of an answer was closed: if it was a batch's results, is that booked now?"""
        batch_id = route_of(call.method, call.path).batch_id
        if batch_id is not None:
            with self._lock:
                self._register.results_passed(batch_id)
