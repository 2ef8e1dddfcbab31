"""A gateway with a channel tells what its calls add up to; one without does nothing more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from farthing.compose import running_gateway
from farthing.compose.alert_rises import recent_rises
from farthing.compose.parts import open_parts
from farthing.config import Settings
from farthing.core.records import Outcome
from farthing.ledger import SqliteLedger
from farthing.pricing import Cost, catalog
from tests.contract.exchanges import opened, settled
from tests.integration.gateway.raw_http import RawClient, http_answer, http_request, raw_upstream
from tests.integration.gateway.test_bytes import BODIES, JSON
from tests.integration.notify.endpoints import slack

NOW = datetime.now(UTC)


def test_an_upstream_that_fails_is_told_to_slack(tmp_path: Path):
    with slack() as endpoint, raw_upstream() as upstream:
        upstream.reply(*[http_answer(b"{}", status=b"500 Internal Server Error")] * 20)
        settings = Settings(
            upstream=upstream.url,
            port=0,
            ledger=str(tmp_path / "ledger.db"),
            alerts_slack_url=endpoint.url,
        )
        with running_gateway(settings) as gateway, RawClient(gateway.url) as client:
            for _ in range(20):
                client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
                client.answer()
            endpoint.wait(1)
        assert "20 of 20 calls failed at the provider" in endpoint.documents[0]["text"]


def test_without_a_channel_nobody_listens(tmp_path: Path):
    settings = Settings(ledger=str(tmp_path / "ledger.db"))
    with open_parts(settings, catalog()) as parts:
        assert parts.alerts is None
        assert parts.records is parts.ledger


def test_a_task_type_that_became_dearer_this_week_is_found(tmp_path: Path):
    ledger = SqliteLedger(tmp_path / "ledger.db", gather_seconds=0.001)
    for number in range(80):
        is_later = number >= 40
        at = NOW - (timedelta(days=2) if is_later else timedelta(days=20))
        who = replace(
            opened().attribution,
            task_id=f"t{number}",
            root_task_id=f"t{number}",
            parent_task_id=None,
            task_type="triage",
        )
        name = f"x{number}"
        ledger.open(replace(opened(name), attribution=who, opened_at=at))
        pico = (3 if is_later else 1) * 10**12 + number
        cost = Cost(
            uncached=pico,
            cache_write_5m=0,
            cache_write_1h=0,
            cache_read=0,
            output=0,
            server_tools=0,
        )
        ledger.settle(replace(settled(name), cost=cost, accounting=None, ended_at=at))
        ledger.outcome(f"t{number}", Outcome(outcome="passed"))
    ledger.close()
    (rise,) = recent_rises(tmp_path / "ledger.db", NOW)
    assert rise.is_shown
    assert rise.task_type == "triage"
    assert recent_rises(tmp_path / "ledger.db", NOW - timedelta(days=5)) == ()
