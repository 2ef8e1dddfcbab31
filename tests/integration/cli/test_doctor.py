"""`farthing doctor` over real gateways, emulators and ledgers, one thing wrong at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from farthing.cli.doctor_checks import findings
from farthing.cli.doctor_findings import Finding
from farthing.cli.main import main
from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger import SqliteLedger
from tests.contract.exchanges import opened, settled

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

Doctor = Callable[..., tuple[int, dict[str, dict[str, str]]]]


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the ledger would be: in a home of its own, as are all settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "farthing" / "ledger.db"


@pytest.fixture
def gateway(emu: RunningEmulator, ledger: Path) -> Iterator[RunningGateway]:
    settings = Settings(upstream=emu.url, port=0, ledger=str(ledger))
    with running_gateway(settings) as running:
        yield running


@pytest.fixture
def doctor(ledger: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    def run(*words: str) -> tuple[int, dict[str, dict[str, str]]]:
        capsys.readouterr()
        code = main(["doctor", "--json", *words])
        document = json.loads(capsys.readouterr().out)
        return code, {finding["name"]: finding for finding in document["findings"]}

    return run


def at(gateway: RunningGateway, emu: RunningEmulator) -> list[str]:
    return ["--port", gateway.url.rpartition(":")[2], "--upstream", emu.url]


def free_port() -> str:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return str(listener.getsockname()[1])


def test_all_is_well(doctor, gateway, emu, monkeypatch, capsys):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", gateway.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-emu-acme")
    main(["install", "claude", "--port", gateway.url.rpartition(":")[2]])
    code, found = doctor(*at(gateway, emu))

    looked_at = (
        "settings python gateway shell claude traffic clock disk ledger prices calibration".split()
    )
    levels = {name: finding["level"] for name, finding in found.items()}
    assert levels == dict.fromkeys([*looked_at, "tool search"], "ok")
    assert code == 0
    assert emu.requests[-1].http_request.path == "/v1/models"
    assert f"process {os.getpid()}" in found["ledger"]["says"]


def test_without_a_gateway_it_says_how_to_start_one(doctor, emu):
    code, found = doctor("--port", free_port(), "--upstream", emu.url)

    assert code == 0
    assert found["gateway"]["level"] == "warn"
    assert "farthing serve" in found["gateway"]["do"]
    assert "farthing install claude" in found["claude"]["do"]
    assert "export ANTHROPIC_BASE_URL=" in found["shell"]["do"]
    assert found["traffic"]["level"] == "ok"


def test_another_program_on_the_port_is_no_gateway(doctor, emu):
    code, found = doctor("--port", emu.url.rpartition(":")[2], "--upstream", emu.url)

    assert (code, found["gateway"]["level"]) == (1, "fail")
    assert "another program" in found["gateway"]["says"]


def test_clients_that_call_a_gateway_that_is_down_are_a_failure(doctor, monkeypatch, emu):
    port = free_port()
    main(["install", "claude", "--port", port])
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{port}")
    code, found = doctor("--port", port, "--upstream", emu.url)

    assert code == 1
    assert (found["claude"]["level"], found["shell"]["level"]) == ("fail", "fail")
    assert "farthing uninstall claude" in found["claude"]["do"]


def test_a_foreign_gateway_is_told_from_ours(doctor, monkeypatch, gateway, emu):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway.invalid:1")
    _, found = doctor("--offline", *at(gateway, emu))

    assert found["shell"]["level"] == "warn"
    assert "--upstream http://gateway.invalid:1" in found["shell"]["do"]


def test_tool_search_that_is_off_is_a_warning(doctor, monkeypatch, gateway, emu):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", gateway.url)
    _, unset = doctor(*at(gateway, emu))
    monkeypatch.setenv("ENABLE_TOOL_SEARCH", "true")
    _, on = doctor(*at(gateway, emu))

    assert (unset["tool search"]["level"], on["tool search"]["level"]) == ("warn", "ok")
    assert "ENABLE_TOOL_SEARCH=true" in unset["tool search"]["do"]


def test_a_refused_key_is_a_failure_and_is_not_shown(doctor, monkeypatch, gateway, emu):
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "secret-invalid")
    code, found = doctor(*at(gateway, emu))

    assert (code, found["traffic"]["level"]) == (1, "fail")
    assert "ANTHROPIC_AUTH_TOKEN" in found["traffic"]["do"]
    assert "secret" not in json.dumps(found)


def test_no_way_upstream_is_a_failure(doctor):
    nowhere = f"http://127.0.0.1:{free_port()}"
    code, found = doctor("--port", free_port(), "--upstream", nowhere)

    assert (code, found["traffic"]["level"]) == (1, "fail")
    assert "HTTPS_PROXY" in found["traffic"]["do"]
    assert "clock" not in found


def test_offline_asks_nobody(doctor, emu):
    _, found = doctor("--offline", "--port", free_port(), "--upstream", emu.url)

    assert emu.requests == []
    assert "traffic" not in found


def named(name: str, **given: object) -> Finding:
    settings = Settings(port=0, **given)  # type: ignore[arg-type]  # fields of the table
    now = datetime.now(UTC)
    [finding] = [f for f in findings(settings, {}, now=now, offline=True) if f.name == name]
    return finding


@pytest.mark.parametrize(
    ("ahead", "level"),
    [(timedelta(seconds=30), "ok"), (timedelta(minutes=3), "warn"), (timedelta(hours=2), "fail")],
)
def test_a_clock_that_is_wrong_is_told_by_the_providers(ahead, level, emu, ledger):
    settings = Settings(port=0, upstream=emu.url)
    now = datetime.now(UTC) + ahead
    found = {f.name: f for f in findings(settings, {}, now=now, offline=False)}

    assert found["clock"].level == level


@pytest.mark.parametrize(("days", "level"), [(0, "ok"), (70, "warn")])
def test_old_prices_are_a_warning(days, level, ledger):
    now = NOON + timedelta(days=days)
    found = {f.name: f for f in findings(Settings(port=0), {}, now=now, offline=True)}

    assert found["prices"].level == level


@pytest.mark.parametrize(("model", "level"), [("claude-nova-9", "fail"), ("claude-opus-4-8", "ok")])
def test_a_model_that_was_used_and_has_no_price_is_a_failure(model, level, ledger):
    writer = SqliteLedger(ledger)
    writer.open(opened("x", opened_at=NOON))
    writer.settle(settled("x", model_served=model, cost=None, rate_card_id=None))
    writer.close()
    found = {f.name: f for f in findings(Settings(port=0), {}, now=NOON, offline=True)}

    assert found["prices"].level == level
    assert ("claude-nova-9" in found["prices"].says) is (level == "fail")


def test_a_file_that_is_no_ledger_is_a_failure(ledger):
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(b"no ledger at all, but long enough to look like something" * 100)

    assert named("ledger").level == "fail"
    assert "farthing ledger check" in named("ledger").do
    assert named("prices").level == "warn"


def test_no_ledger_yet_is_no_fault(ledger):
    assert named("ledger").level == "ok"


def test_settings_that_cannot_be_read_are_the_first_finding(doctor, monkeypatch):
    monkeypatch.setenv("FARTHING_PROT", "1")
    code, found = doctor("--offline")

    assert (code, found["settings"]["level"]) == (1, "fail")
    assert "FARTHING_PORT" in found["settings"]["says"]


def test_claudes_settings_that_cannot_be_read_are_a_failure(doctor, tmp_path):
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.json").write_text("{,}")
    _, found = doctor("--offline", "--port", free_port())

    assert found["claude"]["level"] == "fail"


def test_for_eyes_each_finding_is_a_line_and_what_to_do_another(ledger, capsys):
    assert main(["doctor", "--offline", "--port", free_port()]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok    settings")
    assert any(line.startswith("                    → ") for line in lines)
    assert lines[-1] == "0 to mend, 3 to know"
