"""The service of alerts with its job running, and receivers of every kind, for tests of both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from farthing.compose.alerting import AlertService, open_alerts
from farthing.compose.decisions import open_decisions
from farthing.config import Settings
from farthing.core.breaker_values import BreakerKey, Change
from farthing.driver.jobs.alerting import RetryLimits
from farthing.driver.ports import Ledger
from farthing.ledger import SqliteLedger
from tests.integration.gateway.tls import Certificates
from tests.integration.notify.endpoints import Endpoint, pagerduty, slack, webhook

__all__ = ["CLOSED", "OPEN", "ROUTING_KEY", "SECRET", "addresses", "everybody", "service"]

ROUTING_KEY = "R" * 32
SECRET = "whsec-SECRETSECRET"
OPEN = Change(
    key=BreakerKey("key", "k1"),
    state="open",
    why="velocity",
    at=datetime.now(UTC),
    until=datetime.now(UTC),
)
CLOSED = replace(OPEN, state="closed", until=None)


@contextmanager
def service(
    path: Path, retries: RetryLimits | None = None, **given: Any
) -> Iterator[tuple[AlertService, Ledger]]:
    """The service of a gateway on this ledger, its job running."""
    settings = Settings(**{"ledger": str(path), "alerts_digest_minutes": 0, **given})
    retries = retries or RetryLimits(first_seconds=0.02, longest_seconds=0.5, attempts=5)
    ledger = SqliteLedger(path, gather_seconds=0.001)
    try:
        with (
            open_decisions(path) as decisions,
            open_alerts(settings, ledger, ledger, decisions, retries=retries) as (running, records),
        ):
            assert running is not None
            with _job(running):
                yield running, records
    finally:
        ledger.close()


@contextmanager
def _job(running: AlertService) -> Iterator[None]:
    event_loop = asyncio.new_event_loop()
    job = event_loop.create_task(running.run())

    def run() -> None:
        try:
            event_loop.run_until_complete(job)
        except asyncio.CancelledError:
            # a connection that was cut on the way is closed a turn of the loop later
            event_loop.run_until_complete(asyncio.sleep(0.05))
            event_loop.run_until_complete(event_loop.shutdown_default_executor())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        event_loop.call_soon_threadsafe(job.cancel)
        thread.join(10)
        event_loop.close()


@contextmanager
def everybody(certificates: Certificates) -> Iterator[tuple[Endpoint, Endpoint, Endpoint]]:
    with ExitStack() as stack:
        yield (
            stack.enter_context(slack()),
            stack.enter_context(pagerduty()),
            stack.enter_context(webhook(SECRET, certificates)),
        )


def addresses(one: Endpoint, two: Endpoint, three: Endpoint) -> dict[str, Any]:
    return {
        "alerts_slack_url": one.url,
        "alerts_pagerduty_key": ROUTING_KEY,
        "alerts_pagerduty_url": two.url,
        "alerts_webhook_url": three.url,
        "alerts_webhook_secret": SECRET,
    }
