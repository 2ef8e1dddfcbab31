"""Which circuits are open, over HTTP: what a viewer sees of a storm, and what nobody does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from farthing.compose import running_gateway
from farthing.compose.access import key_desk
from farthing.config import Settings
from farthing.driver.keys import NewKey
from farthing.gateway import circuit_pages
from tests.integration.clock import MovableClock
from tests.integration.gateway.keyed import PROVIDER_KEY, Keyed, make_keys
from tests.integration.gateway.raw_http import RawUpstream, http_answer
from tests.integration.gateway.test_bytes import BODIES, JSON

PAGE = "/farthing/v1/circuits"
COOL_SECONDS = 300.0
ERROR = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'
BAD = http_answer(ERROR, status=b"400 Bad Request")


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def keyed(upstream: RawUpstream, tmp_path: Path, clock: MovableClock) -> Iterator[Keyed]:
    ledger = tmp_path / "ledger.db"
    texts = make_keys(ledger)
    with key_desk(ledger) as (desk, _):
        texts["other"] = desk.create(NewKey(name="the-other"), actor="test").text
    settings = Settings(
        upstream=upstream.url,
        port=0,
        ledger=str(ledger),
        api_key=PROVIDER_KEY,
        breaker_failures=4,
        breaker_repeats=2,
        breaker_cool_seconds=COOL_SECONDS,
    )
    with running_gateway(settings, clock=clock) as gateway:
        yield Keyed(gateway, ledger, texts)


def shown(keyed: Keyed, role: str = "viewer") -> dict[str, Any]:
    answer = keyed.ask("GET", PAGE, key=keyed.texts[role])
    assert answer.status == 200
    for text in keyed.texts.values():
        assert text.encode() not in answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def fail(keyed: Keyed, upstream: RawUpstream, body: bytes, key: str = "client") -> int:
    upstream.reply(BAD)
    return keyed.ask("POST", "/v1/messages", body, key=keyed.texts[key], headers=JSON).status


def other_bodies(count: int) -> list[bytes]:
    return [BODIES["plain"] + b" " * number for number in range(count)]


def test_without_a_storm_nothing_is_open(keyed: Keyed) -> None:
    assert shown(keyed) == {"open": 0, "circuits": []}


def test_a_storm_is_shown_with_whose_it_is_and_until_when(
    keyed: Keyed, upstream: RawUpstream, clock: MovableClock
) -> None:
    for body in other_bodies(4):
        assert fail(keyed, upstream, body) == 400
    upstream.script.replies.clear()
    for _ in range(3):
        answer = keyed.ask(
            "POST", "/v1/messages", BODIES["plain"], key=keyed.texts["client"], headers=JSON
        )
        assert answer.status == 402
    [circuit] = shown(keyed)["circuits"]
    tries_at = datetime.fromisoformat(circuit.pop("tries_at"))

    assert timedelta(0) < tries_at - clock.now() <= timedelta(seconds=COOL_SECONDS)
    assert circuit == {
        "scope": "key",
        "name": "the-client",
        "state": "open",
        "why": "error_storm",
        "last_error": "invalid_request_error",
        "refused": 3,
    }
    assert shown(keyed, "admin")["open"] == 1
    clock.advance(COOL_SECONDS)
    over = clock.now()
    [ready] = shown(keyed)["circuits"]
    assert over <= datetime.fromisoformat(ready["tries_at"]) <= clock.now()


def test_keys_come_before_calls_and_no_more_than_the_most(
    keyed: Keyed, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body in other_bodies(2):
        for _ in range(2):
            fail(keyed, upstream, body)
    found = shown(keyed)
    scopes = [each["scope"] for each in found["circuits"]]
    assert (found["open"], scopes) == (3, ["key", "call", "call"])

    monkeypatch.setattr(circuit_pages, "_MOST", 1)
    found = shown(keyed)
    assert (found["open"], [each["scope"] for each in found["circuits"]]) == (3, ["key"])


def test_where_circuits_are_switched_off_the_page_says_so(
    upstream: RawUpstream, tmp_path: Path
) -> None:
    settings = Settings(
        upstream=upstream.url, port=0, ledger=str(tmp_path / "ledger.db"), breaker=False
    )
    with running_gateway(settings) as gateway:
        answer = Keyed(gateway, tmp_path, {}).ask("GET", PAGE)
    assert answer.status == 404
    assert b"breaker.enabled is off" in answer.body
