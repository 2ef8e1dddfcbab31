"""What a gateway keeps current while it runs outlives files that nobody could have meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from farthing.compose import running_gateway
from farthing.compose.budgets import budget_desk
from farthing.config import Settings
from farthing.core.budgets import Budget
from farthing.ledger.budgets_file import budgets_path
from tests.integration.gateway.raw_http import RawClient, RawUpstream, http_answer, http_request
from tests.integration.gateway.test_bytes import BODIES, JSON, MESSAGE
from tests.waiting import eventually


@pytest.mark.parametrize(
    "text", [f"limit = {'1' * 5_000}", f"budgets = {'[' * 9_000}"], ids=["number", "lists"]
)
def test_a_file_of_budgets_beyond_measure_is_said_and_the_next_one_counts(
    upstream: RawUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    ledger = tmp_path / "ledger.db"
    settings = Settings(upstream=upstream.url, port=0, ledger=str(ledger))

    def status(url: str) -> int:
        upstream.reply(http_answer(MESSAGE))
        with RawClient(url) as client:
            client.send(http_request("POST", "/v1/messages", BODIES["plain"], JSON))
            return client.answer().status

    with running_gateway(settings) as gateway:
        budgets_path(ledger).write_text(text)
        eventually(lambda: "budgets stay as they were" in caplog.text)
        assert status(gateway.url) == 200
        budgets_path(ledger).unlink()
        nothing = Budget(name="none", scope="everything", limit_pico=0)
        budget_desk(ledger).set(nothing, actor="test")
        eventually(lambda: status(gateway.url) == 402)
