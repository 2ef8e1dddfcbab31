"""A cut answer, the provider's usage report, and the row that is closed by it: exactly once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from farthing.cli.main import main
from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow, RowFilter
from farthing.driver.system import SystemClock
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.lab.emulator import Settings as EmulatorSettings
from farthing.ledger import SqliteLedger
from farthing.ledger.checking import check
from farthing.ledger.database import select_rows

MODEL = "claude-opus-4-5"
ADMIN = "sk-ant-admin01-acme"
#: two days ago at noon: the report has caught up since
THEN = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)


@pytest.fixture
def emu(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEmulator]:
    """Its clock is the gateway's wall clock, too."""
    with emulator(EmulatorSettings(started_at=THEN)) as running:

        def now(_: SystemClock) -> datetime:
            return datetime.fromtimestamp(running.engine.clock.now(), UTC)

        monkeypatch.setattr(SystemClock, "now", now)
        monkeypatch.setenv("FARTHING_UPSTREAM", running.url)
        monkeypatch.setenv("FARTHING_ADMIN_KEY", ADMIN)
        yield running


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("FARTHING_LEDGER", str(tmp_path / "ledger.db"))
    return tmp_path / "ledger.db"


@pytest.fixture
def gateway(emu: RunningEmulator, path: Path) -> Iterator[RunningGateway]:
    settings = Settings(upstream=emu.url, port=0, ledger=str(path), task_usd=10**13)
    with running_gateway(settings) as running:
        yield running


def ask(running: RunningGateway, text: str = "hello") -> None:
    with anthropic.Anthropic(base_url=running.url, api_key="sk-emu-acme", max_retries=0) as claude:
        messages: Any = [{"role": "user", "content": text}]
        asked = claude.messages.stream(model=MODEL, max_tokens=200, messages=messages)
        with suppress(anthropic.APIError, httpx2.RemoteProtocolError), asked as stream:
            stream.get_final_message()


def rows(path: Path) -> list[ExchangeRow]:
    return list(select_rows(path, RowFilter()))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[Any], str]:
    code = main(["ledger", "reconcile", "--since", f"{THEN:%Y-%m-%d}", "--json", *words])
    printed = capsys.readouterr()
    return code, json.loads(printed.out), printed.err


def cut_one(emu: RunningEmulator, running: RunningGateway) -> None:
    ask(running, "one")
    emu.fault("cut=4")
    ask(running, "two")
    ask(running, "three")
    running.ledger.flush()


def truth(emu: RunningEmulator) -> int:
    """What the witness billed: 5 and 25 dollars a million, and nothing was cached."""
    bills = [line.bill.everything for line in emu.billed]
    return sum(a.uncached * 5_000_000 + output * 25_000_000 for a, output in bills)


@pytest.mark.parametrize("by", ["hour", "day"])
def test_the_report_tells_what_a_cut_answer_cost_and_closes_it_once(
    emu: RunningEmulator,
    gateway: RunningGateway,
    path: Path,
    capsys: pytest.CaptureFixture[str],
    by: str,
) -> None:
    cut_one(emu, gateway)
    assert [row.state for row in rows(path)] == ["settled", "unsettled", "settled"]

    code, [found], told = run(capsys, "--by", by)
    assert (code, found["verdict"], len(found["unsettled"])) == (0, "determined", 1)
    assert "--close" in told
    assert [row.state for row in rows(path)] == ["settled", "unsettled", "settled"]


def test_closing_makes_the_ledger_equal_to_the_bill(
    emu: RunningEmulator, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(upstream=emu.url, port=0, ledger=str(path), task_usd=10**13)
    with running_gateway(settings) as running:
        cut_one(emu, running)
    before = rows(path)[1]
    run(capsys, "--close")
    for _ in range(2):
        code, [found], told = run(capsys, "--close")
        assert (code, found["verdict"], told) == (0, "equal", "0 rows settled\n")

    endings = [row.settlement for row in rows(path)]
    assert [ending.state for ending in endings if ending] == ["settled"] * 3
    assert sum(ending.cost.total for ending in endings if ending and ending.cost) == truth(emu)
    assert before.settlement is not None
    assert endings[1] is not None
    assert endings[1].cost is not None
    low, high = before.settlement.low_pico, before.settlement.high_pico
    assert low is not None
    assert high is not None
    assert low <= endings[1].cost.total <= high
    assert endings[1].notes[-1] == "reconciled.usage_report"
    assert {finding.level for finding in check(path)} == {"ok"}


def test_two_cut_answers_stay_an_interval_that_holds_the_residual(
    emu: RunningEmulator, gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("one", "two"):
        emu.fault("cut=4")
        ask(gateway, text)
    gateway.ledger.flush()

    code, [found], _ = run(capsys)
    assert (code, found["verdict"], found["why"]) == (0, "within", "several rows are open")
    assert float(found["low_usd"]) <= float(found["residual_usd"]) <= float(found["high_usd"])


def test_what_something_else_used_is_outside_and_exits_with_one(
    emu: RunningEmulator, gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(gateway)
    with anthropic.Anthropic(base_url=emu.url, api_key="sk-emu-acme") as direct:
        messages: Any = [{"role": "user", "content": "past the gateway"}]
        direct.messages.create(model=MODEL, max_tokens=20, messages=messages)
    gateway.ledger.flush()

    code, [found], _ = run(capsys)
    assert (code, found["verdict"]) == (1, "outside")
    # the keys and workspaces of others can be left out
    assert run(capsys, "--workspace-id", "wrkspc_other")[1][0]["why"].startswith("the ledger has")
    assert run(capsys, "--api-key-id", "apikey_other")[0] == 1


def test_while_a_gateway_has_the_ledger_nothing_is_closed(
    emu: RunningEmulator, gateway: RunningGateway, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_one(emu, gateway)

    code = main(["ledger", "reconcile", "--since", f"{THEN:%Y-%m-%d}", "--close"])
    printed = capsys.readouterr()
    assert code == 1
    assert "in use by process" in printed.err
    assert "determined" in printed.out
    assert [row.state for row in rows(path)] == ["settled", "unsettled", "settled"]


def test_the_pages_of_a_long_report_are_all_read(
    emu: RunningEmulator, gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(gateway)
    gateway.ledger.flush()
    since = f"{THEN - timedelta(days=40):%Y-%m-%d}"

    assert main(["ledger", "reconcile", "--since", since, "--by", "hour", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == "equal"
    asked = [r for r in emu.requests if "usage_report" in r.http_request.path]
    assert len(asked) == 7


@pytest.mark.parametrize(
    ("key", "code", "message"), [("", 2, "FARTHING_ADMIN_KEY"), ("sk-emu-acme", 1, "refused")]
)
def test_without_an_admin_key_there_is_no_report(
    emu: RunningEmulator,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    code: int,
    message: str,
) -> None:
    SqliteLedger(path).close()
    monkeypatch.setenv("FARTHING_ADMIN_KEY", key)

    assert main(["ledger", "reconcile", "--since", "2d"]) == code
    told = capsys.readouterr().err
    assert message in told
    assert "sk-emu-acme" not in told


def test_an_exchange_is_settled_by_hand_once(
    emu: RunningEmulator, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(upstream=emu.url, port=0, ledger=str(path))
    with running_gateway(settings) as running:
        cut_one(emu, running)
    name = rows(path)[1].opened.exchange_id
    usage = '{"input_tokens": 1000, "output_tokens": 10}'

    assert main(["ledger", "settle", name, "--usage", usage]) == 0
    assert capsys.readouterr().out == f"{name}: settled at $0.005250\n"
    assert main(["ledger", "settle", name, "--usage", '{"output_tokens": 9}']) == 2
    assert "only an 'unsettled' one" in capsys.readouterr().err
    ending = rows(path)[1].settlement
    assert ending is not None
    assert ending.cost is not None
    assert (ending.cost.total, ending.notes[-1]) == (5_250_000_000, "reconciled.by_hand")
