"""Raises an alert and waits to be killed: ``python victim.py LEDGER``, settings by environment."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from farthing.compose.alerting import open_alerts
from farthing.compose.decisions import open_decisions
from farthing.config import parse_environment, resolve
from farthing.core.breaker_values import BreakerKey, Change
from farthing.driver.jobs.alerting import RetryLimits
from farthing.ledger import SqliteLedger


def main() -> None:
    path = Path(sys.argv[1])
    settings = resolve(parse_environment(os.environ)).settings
    ledger = SqliteLedger(path)
    retries = RetryLimits(first_seconds=0.02)
    with (
        open_decisions(path) as decisions,
        open_alerts(settings, ledger, ledger, decisions, retries=retries) as (service, _),
    ):
        assert service is not None
        now = datetime.now(UTC)
        key = BreakerKey("key", "k1")
        service.breaker(Change(key=key, state="open", why="velocity", at=now, until=now))
        print("raised", flush=True)
        asyncio.run(service.run())


if __name__ == "__main__":
    main()
