"""Storms at a real gateway and in the real SDK: stopped, journalled, told, and over again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest

import farthing
from farthing.cli.main import main
from farthing.compose import RunningGateway, running_gateway
from farthing.compose.access import key_desk
from farthing.config import Settings
from farthing.core.journal_chain import JournalEvent
from farthing.driver.keys import NewKey
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger.audit_log import read_events
from farthing.pricing import parse_usd
from tests.integration.clock import MovableClock
from tests.integration.gateway.keyed import make_keys
from tests.integration.gateway.raw_http import RawClient, http_request
from tests.integration.notify.endpoints import slack
from tests.waiting import eventually

MODEL = "claude-haiku-4-5"
JSON = [(b"content-type", b"application/json"), (b"x-api-key", b"sk-emu-acme")]
#: no test takes so long: a circuit is ready when the clock has been moved on
COOL_SECONDS = 100.0
STORM: dict[str, Any] = {
    "port": 0,
    "breaker_failures": 4,
    "breaker_repeats": 3,
    "breaker_cool_seconds": COOL_SECONDS,
}


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def gateway(emu: RunningEmulator, path: Path, clock: MovableClock) -> Iterator[RunningGateway]:
    settings = Settings(upstream=emu.url, ledger=str(path), **STORM)
    with running_gateway(settings, clock=clock) as running:
        yield running


def client(url: str, key: str = "sk-emu-acme") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=3)


def say(claude: anthropic.Anthropic, text: str, max_tokens: int = 20, **more: Any) -> Any:
    said: Any = [{"role": "user", "content": text}]
    return claude.messages.create(model=MODEL, max_tokens=max_tokens, messages=said, **more)


def fail(claude: anthropic.Anthropic, text: str) -> None:
    """A call that Claude refuses: no answer is that short."""
    with pytest.raises(anthropic.BadRequestError):
        say(claude, text, max_tokens=-1)


def stopped(call: Callable[[], Any]) -> anthropic.APIStatusError:
    with pytest.raises(anthropic.APIStatusError) as refused:
        call()
    assert refused.value.status_code == 402
    assert refused.value.response.headers["x-should-retry"] == "false"
    return refused.value


def events(path: Path, *kinds: str) -> list[JournalEvent]:
    return [event for event in read_events(path) if event.kind in kinds]


def figures(url: str) -> str:
    with RawClient(url) as raw:
        raw.send(http_request("GET", "/metrics", b"", []))
        return raw.answer().body.decode()


def test_a_storm_of_errors_trips_probes_and_closes_and_no_other_key_notices(
    emu: RunningEmulator, gateway: RunningGateway, clock: MovableClock
):
    with client(gateway.url) as claude, client(gateway.url, "sk-emu-other") as other:
        for number in range(4):
            fail(claude, f"bad {number}")
        asked = len(emu.requests)
        error = stopped(lambda: say(claude, "good"))
        assert "error_storm" in error.response.headers["x-farthing-breaker"]
        assert "too many errors" in str(error)
        assert len(emu.requests) == asked  # neither asked nor tried again
        assert say(other, "good").content
        assert 'farthing_breakers_open{scope="key",why="error_storm"} 1' in figures(gateway.url)
        clock.advance(COOL_SECONDS)
        assert say(claude, "good").content
        assert say(claude, "better").content
        text = figures(gateway.url)
        assert 'farthing_breakers_refused_total{scope="key",why="error_storm"} 1' in text
        assert "farthing_breakers_open{" not in text


def test_a_probe_that_fails_waits_twice_as_long(gateway: RunningGateway, clock: MovableClock):
    with client(gateway.url) as claude:
        for number in range(4):
            fail(claude, f"bad {number}")
        clock.advance(COOL_SECONDS)
        fail(claude, "bad again")
        clock.advance(COOL_SECONDS)
        stopped(lambda: say(claude, "good"))
        clock.advance(COOL_SECONDS)
        assert say(claude, "good").content


def test_a_stream_is_refused_alike(gateway: RunningGateway):
    with client(gateway.url) as claude:
        for number in range(4):
            fail(claude, f"bad {number}")
        said: Any = [{"role": "user", "content": "good"}]

        def streamed() -> None:
            with claude.messages.stream(model=MODEL, max_tokens=20, messages=said) as stream:
                stream.get_final_message()

        stopped(streamed)


def test_one_call_that_is_refused_again_and_again_costs_a_lookup(emu: RunningEmulator, path: Path):
    settings = Settings(upstream=emu.url, ledger=str(path), task_usd=1, **STORM)
    repeat(settings, path, 1_500)
    assert not emu.requests


@pytest.mark.long
def test_fifty_thousand_repetitions_leave_the_ledger_and_the_journal_as_they_were(
    emu: RunningEmulator, path: Path
):
    settings = Settings(
        upstream=emu.url, ledger=str(path), task_usd=1, **STORM | {"breaker_cool_seconds": 900.0}
    )
    repeat(settings, path, 50_000)


def repeat(settings: Settings, path: Path, times: int) -> None:
    body = b'{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"a"}]}'
    with running_gateway(settings) as running:
        with RawClient(running.url) as raw:
            for number in range(times):
                raw.send(http_request("POST", "/v1/messages", body, JSON))
                answer = raw.answer()
                assert answer.status == 402
                assert (b"x-farthing-breaker" in dict(answer.headers)) is (number >= 3)
        running.ledger.flush()
        assert len(list(running.ledger.rows())) == 3
    opened, closed = events(path, "breaker.opened", "breaker.closed")
    assert opened.facts["last"] == "budget.refused"
    assert closed.facts["refused"] == times - 3
    (first, more) = events(path, "call.refused")
    assert (first.facts["why"], more.facts["times"]) == ("budget.refused", 2)


def test_spending_too_fast_is_stopped(emu: RunningEmulator, path: Path):
    fast = {"breaker_velocity_usd": parse_usd("0.00001")}
    with (
        running_gateway(Settings(upstream=emu.url, ledger=str(path), **STORM | fast)) as running,
        client(running.url) as claude,
    ):
        assert say(claude, "dear").content
        assert "spends too fast" in str(stopped(lambda: say(claude, "dearer")))


def test_switched_off_nothing_is_stopped(emu: RunningEmulator, path: Path):
    off = {"breaker": False}
    with (
        running_gateway(Settings(upstream=emu.url, ledger=str(path), **STORM | off)) as running,
        client(running.url) as claude,
    ):
        for _ in range(12):
            fail(claude, "bad")
        assert say(claude, "good").content


def test_slack_is_told_when_a_circuit_opens_and_when_it_closes(
    emu: RunningEmulator, path: Path, clock: MovableClock
):
    with slack() as endpoint:
        settings = Settings(
            upstream=emu.url, ledger=str(path), alerts_slack_url=endpoint.url, **STORM
        )
        with running_gateway(settings, clock=clock) as running, client(running.url) as claude:
            for number in range(4):
                fail(claude, f"bad {number}")
            endpoint.wait(1)
            assert "*breaker* key:" in endpoint.documents[0]["text"]
            clock.advance(COOL_SECONDS)
            say(claude, "good")
            endpoint.wait(2)
            assert "*breaker is over* key:" in endpoint.documents[1]["text"]


def test_the_journal_has_the_storm_and_shows_what_is_done_to_it(emu: RunningEmulator, path: Path):
    texts = make_keys(path)
    with (
        running_gateway(
            Settings(upstream=emu.url, ledger=str(path), api_key="sk-emu-acme", **STORM)
        ) as running,
        client(running.url, texts["client"]) as claude,
    ):
        for number in range(4):
            fail(claude, f"bad {number}")
        stopped(lambda: say(claude, "good"))
        assert eventually(lambda: events(path, "breaker.opened"))
    kinds = [event.kind for event in read_events(path)]
    assert kinds.count("breaker.opened") == kinds.count("breaker.closed") == 1
    assert main(["journal", "verify", "--ledger", str(path)]) == 0
    for name, tampering in TAMPERING.items():
        copy = path.with_name(f"{name}.db")
        copy.with_name(f"{name}.db.key").write_bytes(path.with_name("ledger.db.key").read_bytes())
        with closing(sqlite3.connect(path)) as whole, closing(sqlite3.connect(copy)) as other:
            whole.backup(other)
            other.execute("DROP TRIGGER audit_log_keeps_entries")
            other.execute("DROP TRIGGER audit_log_loses_nothing")
            other.executescript(tampering)
        assert main(["journal", "verify", "--ledger", str(copy)]) == 1, name


OPENED = "(SELECT number FROM audit_log WHERE event ->> '$.kind' = 'breaker.opened')"
TAMPERING = {
    "edited": f"UPDATE audit_log SET event = replace(event, 'error_', 'retry_')"
    f" WHERE number = {OPENED}",
    "removed": f"DELETE FROM audit_log WHERE number = {OPENED}",
    "reordered": f"UPDATE audit_log SET number = -1 WHERE number = {OPENED};"
    " UPDATE audit_log SET number = 1000 WHERE number = 1;"
    " UPDATE audit_log SET number = 1 WHERE number = -1;",
    "cut off": "DELETE FROM audit_log WHERE number = (SELECT max(number) FROM audit_log)",
}


def test_a_model_that_a_key_may_not_use_is_in_the_journal_once_a_minute(
    emu: RunningEmulator, path: Path
):
    with key_desk(path) as (desk, _):
        wanted = NewKey(name="small", role="client", models=("claude-opus-4-5",))
        text = desk.create(wanted, actor="test").text
    with (
        running_gateway(
            Settings(upstream=emu.url, ledger=str(path), api_key="sk-emu-acme", **STORM)
        ) as running,
        client(running.url, text) as claude,
    ):
        for _ in range(30):
            with pytest.raises(anthropic.PermissionDeniedError):
                say(claude, "good")
    first, rest = events(path, "call.refused")
    assert (first.subject, first.facts["why"]) == ("key:small", "access.model_not_allowed")
    assert rest.facts["times"] == 29
    assert text not in str([first, rest])


# -- in a program


def test_the_sdk_raises_an_error_of_its_own_and_asks_nobody(emu: RunningEmulator, path: Path):
    with program(emu, path) as (claude, middleware):
        for number in range(20):
            fail(claude, f"bad {number}")
        asked = len(emu.requests)
        with pytest.raises(farthing.BreakerOpenError) as refused:
            say(claude, "good")
        (row, *_) = middleware.ledger.rows()
        scope = f"key:{row.opened.attribution.key_scope}"
        assert (refused.value.scope, refused.value.why) == (scope, "error_storm")
        assert len(emu.requests) == asked
        assert len(list(middleware.ledger.rows())) == 20
    assert [event.facts["refused"] for event in events(path, "breaker.closed")] == [1]
    assert main(["journal", "verify", "--ledger", str(path)]) == 0


def test_the_async_sdk_raises_it_too(emu: RunningEmulator, path: Path):
    middleware = farthing.Farthing(ledger=path)
    said: Any = [{"role": "user", "content": "bad"}]

    async def repeated() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
        ) as claude:
            while True:
                with pytest.raises(anthropic.BadRequestError):
                    await claude.messages.create(model=MODEL, max_tokens=-1, messages=said)

    with pytest.raises(farthing.BreakerOpenError) as refused:
        asyncio.run(repeated())
    assert refused.value.why == "retry_storm"
    assert len(list(middleware.ledger.rows())) == 5
    middleware.close()


@contextmanager
def program(
    emu: RunningEmulator, path: Path
) -> Iterator[tuple[anthropic.Anthropic, farthing.Farthing]]:
    """A client of the SDK with the middleware, closed at the end."""
    with (
        farthing.Farthing(ledger=path) as middleware,
        anthropic.Anthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
        ) as claude,
    ):
        yield claude, middleware
