"""Through the gateway to the emulator: what the ledger says is what the witness counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow
from farthing.lab.emulator import RunningEmulator, emulator
from tests.integration.gateway.raw_http import RawClient, RawUpstream, http_request, raw_upstream

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
MODEL = "claude-opus-4-5"


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def gateway(emu: RunningEmulator, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = Settings(upstream=emu.url, port=0, ledger=str(tmp_path / "ledger.db"))
    with running_gateway(settings) as running:
        yield running


@pytest.fixture
def claude(gateway: RunningGateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme", max_retries=2) as made:
        yield made


def rows(gateway: RunningGateway, endpoint: str = "messages") -> list[ExchangeRow]:
    gateway.ledger.flush()
    return [row for row in gateway.ledger.rows() if row.opened.endpoint == endpoint]


def test_rows_have_the_usage_the_client_saw(
    claude: anthropic.Anthropic, gateway: RunningGateway
) -> None:
    plain = claude.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    with claude.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
        streamed = stream.get_final_message()

    seen = [row.settlement.usage for row in rows(gateway) if row.settlement is not None]
    assert [(usage.uncached, usage.output) for usage in seen if usage] == [
        (message.usage.input_tokens, message.usage.output_tokens) for message in (plain, streamed)
    ]
    assert [row.opened.is_streamed for row in rows(gateway)] == [False, True]


def test_the_attempts_of_the_sdk_are_one_exchange(
    claude: anthropic.Anthropic, gateway: RunningGateway, emu: RunningEmulator
) -> None:
    emu.fault("status=529", times=2)
    claude.messages.create(model=MODEL, max_tokens=50, messages=HELLO)

    [row] = rows(gateway)
    assert row.settlement is not None
    assert (row.state, row.settlement.attempts) == ("settled", 3)


def test_counting_costs_nothing(claude: anthropic.Anthropic, gateway: RunningGateway) -> None:
    claude.messages.count_tokens(model=MODEL, messages=HELLO)

    [row] = rows(gateway, "count_tokens")
    assert row.settlement is not None
    assert row.settlement.cost is not None
    assert row.settlement.cost.total == 0


def test_the_results_of_a_batch_are_booked_once_at_half_the_price(
    claude: anthropic.Anthropic, gateway: RunningGateway, emu: RunningEmulator
) -> None:
    """By path: the SDK follows ``results_url``, which names the provider's own host."""
    params: Any = {"model": MODEL, "max_tokens": 50, "messages": HELLO}
    requests: list[Any] = [{"custom_id": f"row-{n}", "params": params} for n in range(3)]
    batch = claude.messages.batches.create(requests=requests)
    emu.advance(7200)
    headers = [(b"x-api-key", b"sk-emu-acme"), (b"anthropic-version", b"2023-06-01")]
    with RawClient(gateway.url) as client:
        for _ in range(2):
            path = f"/v1/messages/batches/{batch.id}/results"
            client.send(http_request("GET", path, headers=headers))
            assert client.answer().body.count(b'"succeeded"') == 3

    items = rows(gateway, "batch_item")
    assert len(items) == 3
    for row in items:
        assert row.settlement is not None
        usage, cost = row.settlement.usage, row.settlement.cost
        assert usage is not None
        assert cost is not None
        # 5 and 25 $/Mtok, half of it in a batch
        assert cost.total == usage.uncached * 2_500_000 + usage.output * 12_500_000


def test_the_proxy_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_upstream() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        settings = Settings(
            upstream="http://claude.test", port=0, ledger=str(tmp_path / "ledger.db")
        )
        with running_gateway(settings) as running, RawClient(running.url) as client:
            client.send(http_request("POST", "/v1/messages?beta=true", json.dumps({}).encode()))
            status = client.answer().status

    assert status == 200
    assert target_of(proxy) == b"POST http://claude.test/v1/messages?beta=true HTTP/1.1"


def target_of(proxy: RawUpstream) -> bytes:
    return proxy.received[-1].line
