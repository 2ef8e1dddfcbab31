"""Batches under budgets, through the gateway and the SDK: held per row, whatever becomes of it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.compose.budgets import budget_desk
from farthing.config import Settings
from farthing.core.budgets import Budget, key_of
from farthing.gateway import batch_bodies
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger import SqliteLedger
from farthing.ledger.budgets_reading import standings
from farthing.ledger.checking import check
from tests.contract.exchanges import attribution
from tests.waiting import eventually

MODEL = "claude-opus-4-5"
KEY = "sk-emu-acme"
PATH = "/v1/messages/batches"
DOLLAR = 10**12
#: more than a day away from the end of its window, whenever this runs
ALL = Budget(name="all", scope="everything", limit_pico=DOLLAR, mode="strict")
TOTAL = key_of(ALL, attribution(), None, datetime.now(UTC)) or ""
TASK = {"x-farthing-task": "nightly"}


def requests(count: int, **params: Any) -> list[Any]:
    hello = [{"role": "user", "content": "hello"}]
    asked = {"model": MODEL, "max_tokens": 50, "messages": hello} | params
    return [{"custom_id": f"row-{n}", "params": asked} for n in range(count)]


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@contextmanager
def gateway(
    emu: RunningEmulator, folder: Path, *budgets: Budget, **given: Any
) -> Iterator[RunningGateway]:
    ledger = folder / "ledger.db"
    for budget in budgets or (ALL,):
        budget_desk(ledger).set(budget, actor="test")
    settings = Settings(upstream=emu.url, port=0, ledger=str(ledger), **given)
    with running_gateway(settings) as running:
        yield running


def sdk(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)


def send(claude: anthropic.Anthropic, url: str, body: bytes) -> Any:
    """These bytes, through the SDK's own HTTP client."""
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    return claude._client.post(f"{url}{PATH}", content=body, headers=headers)


def test_rows_hold_until_they_are_booked_across_a_restart(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    with gateway(emu, tmp_path) as running, sdk(running.url) as claude:
        batch = claude.messages.batches.create(requests=requests(3), extra_headers=TASK)
        spent, held = running.ledger.spent_and_held(TOTAL)
        assert (spent, held % 3) == (0, 0)
        assert held > 0
        running.ledger.flush()
        [shown] = standings(tmp_path / "ledger.db", ALL, datetime.now(UTC))
        assert (shown.spent_pico, shown.held_pico) == (0, held)

    emu.advance(7200)
    with gateway(emu, tmp_path) as running, sdk(running.url) as claude:
        assert running.ledger.spent_and_held(TOTAL) == (0, held)
        for _ in range(2):
            assert len(list(claude.messages.batches.results(batch.id))) == 3
        eventually(lambda: running.ledger.spent_and_held(TOTAL)[1] == 0)
        spent, after = running.ledger.spent_and_held(TOTAL)

    assert (0 < spent < held, after) == (True, 0)
    ledger = SqliteLedger(tmp_path / "ledger.db")
    assert ledger.spent_and_held(TOTAL) == (spent, 0)
    assert ledger.batch_rows() == []
    ledger.close()
    assert {finding.level for finding in check(tmp_path / "ledger.db")} == {"ok"}


def test_a_batch_that_does_not_fit_is_refused_whole_and_nothing_is_sent(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    with gateway(emu, tmp_path) as running, sdk(running.url) as claude:
        claude.messages.batches.create(requests=requests(3))
        _, one = running.ledger.spent_and_held(TOTAL)
    folder = tmp_path / "second"
    folder.mkdir()
    tight = Budget(name="all", scope="everything", limit_pico=one // 3 * 5, mode="strict")
    with gateway(emu, folder, tight) as running, sdk(running.url) as claude:
        claude.messages.batches.create(requests=requests(3))
        sent = len(emu.requests)
        with pytest.raises(anthropic.APIStatusError) as refused:
            claude.messages.batches.create(requests=requests(3))
        assert len(emu.requests) == sent
        assert running.ledger.spent_and_held(TOTAL) == (0, one)
        claude.messages.batches.create(requests=requests(2))
        assert running.ledger.spent_and_held(TOTAL) == (0, one // 3 * 5)

    assert refused.value.status_code == 402
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert "the rows of this batch may cost up to" in refused.value.message


def test_rows_of_two_models_are_held_at_the_price_of_each(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    each = Budget(name="each", scope="model", limit_pico=DOLLAR)
    rows = requests(1) + [
        each | {"custom_id": "b"} for each in requests(1, model="claude-haiku-4-5")
    ]
    with gateway(emu, tmp_path, each) as running, sdk(running.url) as claude:
        claude.messages.batches.create(requests=rows)
        held = running.ledger.spent_and_held
        dear = held("model:claude-opus-4-5-20251101@total")[1]
        cheap = held("model:claude-haiku-4-5-20251001@total")[1]

    assert dear > cheap > 0


def test_a_batch_that_is_cancelled_holds_nothing_once_that_is_seen(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    with gateway(emu, tmp_path) as running, sdk(running.url) as claude:
        batch = claude.messages.batches.create(requests=requests(3))
        claude.messages.batches.cancel(batch.id)
        emu.advance(7200)
        assert running.ledger.spent_and_held(TOTAL)[1] > 0
        ended = claude.messages.batches.retrieve(batch.id)

        assert ended.processing_status == "ended"
        assert ended.request_counts.succeeded == 0
        assert running.ledger.spent_and_held(TOTAL) == (0, 0)


def test_what_nobody_reads_is_ended_by_the_poller(emu: RunningEmulator, tmp_path: Path) -> None:
    with (
        gateway(emu, tmp_path, api_key=KEY, batch_poll_seconds=0.02) as running,
        sdk(running.url) as claude,
    ):
        claude.messages.batches.create(requests=requests(2))
        lost = claude.messages.batches.create(requests=requests(2))
        emu.advance(7200)
        eventually(lambda: running.ledger.spent_and_held(TOTAL)[1] == 0)
        assert running.ledger.spent_and_held(TOTAL)[0] > 0
        assert lost.id


def test_a_killed_gateways_batches_hold_what_they_held(
    emu: RunningEmulator, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.db"
    budget_desk(ledger).set(ALL, actor="test")
    words = ["serve", "--port", "0", "--upstream", emu.url, "--ledger", str(ledger)]
    victim = subprocess.Popen(
        [sys.executable, "-m", "farthing", *words], stderr=subprocess.STDOUT, stdout=subprocess.PIPE
    )
    assert victim.stdout is not None
    url = None
    while url is None:
        line = victim.stdout.readline().decode()
        assert line, "it ended"
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        url = None if found is None else found[0]
    with sdk(url) as claude:
        batch = claude.messages.batches.create(requests=requests(3))
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
    victim.stdout.close()

    with gateway(emu, tmp_path) as running, sdk(running.url) as claude:
        spent, held = running.ledger.spent_and_held(TOTAL)
        again = claude.messages.batches.create(requests=requests(3))
        assert running.ledger.spent_and_held(TOTAL) == (spent, 2 * held)
        emu.advance(7200)
        list(claude.messages.batches.results(batch.id))
        eventually(lambda: running.ledger.spent_and_held(TOTAL)[1] == held)
        list(claude.messages.batches.results(again.id))
        eventually(lambda: running.ledger.spent_and_held(TOTAL)[1] == 0)
    assert (spent, held > 0) == (0, True)


def test_a_large_body_goes_through_the_disk_byte_for_byte(
    emu: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_bodies, "_IN_MEMORY", 10_000)
    monkeypatch.setattr(batch_bodies, "_PIECE", 7_000)
    rows = requests(40, messages=[{"role": "user", "content": 'a "}]" \\ ' * 200}])
    body = json.dumps({"requests": rows}, indent=1).encode()
    with gateway(emu, tmp_path) as running, sdk(running.url) as claude:
        answer = send(claude, running.url, body)
        emu.advance(7200)
        assert len(list(claude.messages.batches.results(answer.json()["id"]))) == 40
        running.ledger.flush()
        [row] = [row for row in running.ledger.rows() if row.opened.hold_pico]

    assert row.opened.hold_pico == row.opened.high_pico
    assert row.opened.request_bytes == 0  # passed on, not held by the exchange
    assert emu.requests[0].http_request.body == body


@pytest.mark.parametrize("body", [b"", b"{}", b'{"requests": 1}', b"\xff" * 9])
def test_a_body_without_rows_is_refused_where_prices_must_be_known(
    emu: RunningEmulator, tmp_path: Path, body: bytes
) -> None:
    with gateway(emu, tmp_path) as running, sdk(running.url) as claude:
        answer = send(claude, running.url, body)
        assert answer.status_code == 402
        assert "has no price" in json.loads(answer.content)["error"]["message"]
        assert running.ledger.spent_and_held(TOTAL) == (0, 0)
