"""Through the gateway to the emulator: what levers saved, as the provider's counts prove it."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.cli.main import main
from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.diagnostics import AGREED_NOTE
from farthing.core.holdout import is_held_out
from farthing.core.records import ExchangeRow
from farthing.core.ttl_experts import EXPERTS, TtlTable
from farthing.core.ttl_tables import TtlTables
from farthing.driver.jobs.learned_tables import LIFETIMES
from farthing.errors import LedgerError
from farthing.lab.emulator import RunningEmulator, emulator
from farthing.ledger import SqliteLedger
from farthing.ledger.checking import check
from farthing.ledger.pins import SqlitePins
from farthing.ledger.place import default_ledger
from farthing.ledger.reporting import Window
from farthing.ledger.saving_figures import open_saving_figures
from farthing.pricing import parse_usd

MODEL = "claude-opus-5-5"
SYSTEM = "You review changes of a payment service, with care. " * 300
TURNS = 5


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def served(emu: RunningEmulator, folder: Path, **given: Any) -> Any:
    """A gateway on a ledger in this folder."""
    return running_gateway(
        Settings(upstream=emu.url, port=0, ledger=str(folder / "ledger.db"), **given)
    )


def converse(
    gateway: RunningGateway, task: str = "t", *, turns: int = TURNS, marks: bool = False
) -> list[anthropic.types.Message]:
    """A conversation that grows; with ``marks`` the client caches for itself, and well."""
    system: list[Any] = [{"type": "text", "text": f"{SYSTEM} {task}"}]
    if marks:
        system[0]["cache_control"] = {"type": "ephemeral"}
    history: list[Any] = []
    answers: list[anthropic.types.Message] = []
    with anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme", max_retries=0) as claude:
        for turn in range(turns):
            text = {"type": "text", "text": f"Step {turn} of {task}: " + "look again. " * 40}
            marked = {"cache_control": {"type": "ephemeral"}} if marks else {}
            history.append({"role": "user", "content": [text | marked]})
            answer = claude.messages.create(
                model=MODEL,
                max_tokens=50,
                system=system,
                messages=history,
                extra_headers={"x-farthing-task": task, "x-farthing-task-type": "review"},
            )
            answers.append(answer)
            history[-1] = {"role": "user", "content": [text]}
            kept = [block.model_dump(exclude_none=True) for block in answer.content]
            history.append({"role": "assistant", "content": kept})
    gateway.ledger.flush()
    return answers


def changing(gateway: RunningGateway, task: str) -> None:
    """Two calls of one conversation; in between the system prompt becomes another one."""
    messages: list[Any] = [{"role": "user", "content": f"Step 0 of {task}"}]
    with anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme", max_retries=0) as claude:
        for turn in range(2):
            answer = claude.messages.create(
                model=MODEL,
                max_tokens=5,
                system=f"{SYSTEM} {turn}",
                messages=messages,
                extra_headers={"x-farthing-task": task},
            )
            kept = [block.model_dump(exclude_none=True) for block in answer.content]
            messages += [
                {"role": "assistant", "content": kept},
                {"role": "user", "content": "and now?"},
            ]
    gateway.ledger.flush()


def savings(
    folder: Path, capsys: pytest.CaptureFixture[str], *options: str, code: int = 0
) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["savings", "--json", "--ledger", str(folder / "ledger.db"), *options]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def settled(gateway: RunningGateway) -> list[ExchangeRow]:
    return [row for row in gateway.ledger.rows() if row.opened.endpoint == "messages"]


def assert_adds_up(found: dict[str, Any]) -> None:
    """Levers add up to baseline minus cost, to the last 10⁻¹² USD."""
    totals = found["totals"]
    by_lever = sum(parse_usd(group["saved_usd"]) for group in found["groups"])
    difference = parse_usd(totals["baseline_usd"]) - parse_usd(totals["compared_cost_usd"])
    assert by_lever == difference == parse_usd(totals["saved_usd"])


def test_a_client_that_caches_nothing_saves_and_the_levers_add_up(emu, tmp_path, capsys) -> None:
    with served(emu, tmp_path) as gateway:
        converse(gateway)
        pages = urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10).read().decode()

    found = savings(tmp_path, capsys)
    assert_adds_up(found)
    totals = found["totals"]
    assert totals["net_ratio"] > 0.4
    assert totals["compared_calls"] == TURNS
    assert f"farthing_baseline_usd {totals['baseline_usd']}" in pages
    assert {finding.level for finding in check(tmp_path / "ledger.db")} == {"ok"}
    assert found["calibration"]["total"]["abs_error_ratio"] < 0.25  # the first call is estimated
    by_type = savings(tmp_path, capsys, "--by", "task-type")
    assert [group["name"] for group in by_type["groups"]] == ["review"]
    assert by_type["groups"][0]["net_usd"] == totals["net_usd"]


def test_the_discount_that_the_client_had_anyway_is_not_ours(emu, tmp_path, capsys) -> None:
    with served(emu, tmp_path, levers_off=("cache.*",)) as gateway:
        answers = converse(gateway, marks=True)

    assert answers[-1].usage.cache_read_input_tokens
    totals = savings(tmp_path, capsys)["totals"]
    assert totals["saved_usd"] == "0"
    assert totals["baseline_usd"] == totals["compared_cost_usd"] == totals["cost_usd"]


@pytest.mark.parametrize("given", [{"profile": "observe"}, {"levers_off": ("*",)}])
def test_with_levers_off_exactly_nothing_is_saved(emu, tmp_path, capsys, given) -> None:
    with served(emu, tmp_path, **given) as gateway:
        converse(gateway, turns=3)

    found = savings(tmp_path, capsys)
    totals = found["totals"]
    assert (found["groups"], totals["saved_usd"], totals["net_usd"]) == ([], "0", "0")
    assert totals["compared_calls"] == 3
    assert found["calibration"]["shadow"]["calls"] == 3


def test_without_an_engine_nothing_is_compared(emu, tmp_path, capsys) -> None:
    with served(emu, tmp_path, cache="off") as gateway:
        converse(gateway, turns=1)

    totals = savings(tmp_path, capsys, code=1)["totals"]
    assert totals["compared_calls"] == 0
    assert totals["uncompared_cost_usd"] == totals["cost_usd"] != "0"


def test_held_out_tasks_are_left_alone_and_compared(emu, tmp_path, capsys) -> None:
    tasks = [f"t{n}" for n in range(12)]
    with served(emu, tmp_path, holdout=0.5) as gateway:
        for task in tasks:
            converse(gateway, task, turns=2)
        key = (tmp_path / "ledger.db.key").read_bytes()
        rows = settled(gateway)

    held = {task for task in tasks if is_held_out(task, 0.5, key)}
    for row in rows:
        assert row.settlement is not None
        accounting = row.settlement.accounting
        assert accounting is not None
        assert accounting.is_held_out == (row.opened.attribution.task_id in held)
        if accounting.is_held_out:
            assert row.settlement.cost is not None
            assert accounting.baseline_pico == row.settlement.cost.total
            assert accounting.savings == ()
    hold_out = savings(tmp_path, capsys)["hold_out"]
    assert (hold_out["held_out"], hold_out["treated"]) == (len(held), 12 - len(held))
    assert hold_out["mixed"] == 0


def test_the_screen_says_all_of_it_in_words(emu, tmp_path, capsys) -> None:
    with served(emu, tmp_path) as gateway:
        converse(gateway)
    capsys.readouterr()

    assert main(["savings", "--why", "--ledger", str(tmp_path / "ledger.db")]) == 0
    text = capsys.readouterr().out
    for words in ("baseline", "measured", "predicted", "own costs", "hold-out", "calibration"):
        assert words in text
    assert "adds up to baseline minus cost to the last 10^-12 dollar" in text


def test_the_default_ledger_is_named_where_there_is_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    assert default_ledger().is_file() is False
    assert main(["savings"]) == 1


def test_a_ledger_of_an_earlier_version_says_what_brings_it_up(emu, tmp_path) -> None:
    with served(emu, tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("DROP TABLE hourly_savings")

    with (
        open_saving_figures(tmp_path / "ledger.db") as figures,
        pytest.raises(LedgerError, match="farthing serve"),
    ):
        figures.whole(Window())


def misled(folder: Path) -> None:
    """Tables that swear that every prefix comes back within the hour, and never within minutes."""
    table = TtlTable(
        costs={expert: 1e15 if expert == "1h" else 2e15 for expert in EXPERTS},
        gaps=1e6,
        chances=1e6,
        returned=1e6,
        opened=1e6,
    )
    tables = TtlTables(by_class={"api": table})
    SqliteLedger(folder / "ledger.db").close()
    store = SqlitePins(folder / "ledger.db")
    store.save_table(LIFETIMES, tables.dump(), based_on=0, now=datetime.now(UTC))
    store.close()


def test_a_lever_that_loses_is_shown_as_a_loss_and_switched_off_for_that_workload(
    emu, tmp_path, capsys
) -> None:
    misled(tmp_path)
    with served(emu, tmp_path) as gateway:
        for number in range(40):
            converse(gateway, f"shot {number}", turns=1, marks=True)
        rows = settled(gateway)

    found = savings(tmp_path, capsys)
    assert_adds_up(found)
    (ttl,) = [group for group in found["groups"] if group["name"] == "cache.ttl"]
    assert parse_usd(ttl["saved_usd"]) < 0
    assert found["totals"]["net_usd"].startswith("-")
    (judged,) = [each for each in found["governor"] if each["lever"] == "cache.ttl"]
    assert (judged["workload"], judged["verdict"]) == ("review", "off")
    assert judged["loss_evidence"] >= 20 > judged["calls"] / 2
    assert judged["calls"] == ttl["calls"] < 40
    last = rows[-1].settlement
    assert last is not None
    assert "-cache.ttl:governed_off" in last.plan
    assert last.accounting is not None
    assert last.cost is not None
    assert last.accounting.baseline_pico == last.cost.total

    assert main(["savings", "--ledger", str(tmp_path / "ledger.db")]) == 0
    text = capsys.readouterr().out
    assert "a LOSS" in text
    assert "off" in text


def test_a_verdict_outlives_the_process(emu, tmp_path) -> None:
    misled(tmp_path)
    with served(emu, tmp_path) as gateway:
        for number in range(40):
            converse(gateway, f"shot {number}", turns=1, marks=True)
    with served(emu, tmp_path) as gateway:
        converse(gateway, "later", turns=1, marks=True)
        last = settled(gateway)[-1].settlement

    assert last is not None
    assert "-cache.ttl:governed_off" in last.plan


def test_the_providers_diagnostics_are_the_referee(emu, tmp_path, capsys) -> None:
    """A conversation of the sample whose system prompt changes: the provider says so, and we do."""
    key = tmp_path / "ledger.db.key"
    key.write_bytes(b"k" * 32)  # the sample is chosen by it: the same in every run
    key.chmod(0o600)
    with served(emu, tmp_path, levers_on=("cache.diagnostics",)) as gateway:
        for number in range(40):
            changing(gateway, f"task {number}")
        rows = settled(gateway)

    notes = [note for row in rows if row.settlement for note in row.settlement.notes]
    assert AGREED_NOTE in notes
    assert savings(tmp_path, capsys)["referee"]["agreed"] == notes.count(AGREED_NOTE)


def test_nobody_is_asked_who_did_not_name_the_lever(emu, tmp_path) -> None:
    with served(emu, tmp_path) as gateway:
        for answer in converse(gateway):
            assert answer.model_dump().get("diagnostics") is None
