"""The engine behind the gateway, over the emulator: who marks nothing pays what the model says, who
marks well loses nothing, and a restart in mid-conversation flips nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import Settlement
from farthing.core.workload import Workload, simulate
from farthing.driver.ports import Clock
from farthing.lab.emulator import RunningEmulator, emulator

MODEL = "claude-opus-5-5"
#: does not bind thinking to what is before it, and takes system messages
UNBOUND = "claude-opus-4-8"
MARK = {"type": "ephemeral"}
TOOLS = [
    {"name": name, "description": "It does things. " * 80, "input_schema": {"type": "object"}}
    for name in ("write", "read", "list")
]


@dataclass(frozen=True)
class Bill:
    """What a call was billed by the emulator."""

    uncached: int
    written: int
    read: int


@contextmanager
def served(
    emu: RunningEmulator, folder: Path, clock: Clock | None = None, **given: Any
) -> Iterator[RunningGateway]:
    settings = Settings(upstream=emu.url, port=0, ledger=str(folder / "ledger.db"), **given)
    with running_gateway(settings, clock=clock) as gateway:
        yield gateway


def talk(
    url: str,
    turns: range,
    *,
    is_marked: bool = False,
    mark: dict[str, str] = MARK,
    model: str = MODEL,
    trailing: bool = False,
    said: list[dict[str, Any]] | None = None,
    shuffled: bool = False,
    opening: str = "",
    pause: Callable[[], object] = lambda: None,
) -> list[Bill]:
    """One conversation; ``said`` is its history, and grows; ``pause`` follows each turn."""
    history = [] if said is None else said
    bills: list[Bill] = []
    system: list[dict[str, Any]] = [{"type": "text", "text": "You are an agent. " * 300}]
    if is_marked:
        system[0]["cache_control"] = mark
    with anthropic.Anthropic(base_url=url, api_key="sk-emu-acme", max_retries=0) as client:
        for number in turns:
            called = [b["id"] for b in (history or [{}])[-1].get("content", []) if "input" in b]
            asked: list[dict[str, Any]] = [
                {"type": "tool_result", "tool_use_id": id_, "content": "done"} for id_ in called
            ]
            asked.append({"type": "text", "text": f"{opening}Question {number}. " + "word " * 400})
            history.append({"role": "user", "content": asked})
            sent = json.loads(json.dumps(history))
            if trailing:
                sent.append({"role": "system", "content": [{"type": "text", "text": "Be brief."}]})
            if is_marked:
                sent[-1]["content"][-1]["cache_control"] = mark
            tools = [*TOOLS[number % 3 :], *TOOLS[: number % 3]] if shuffled else TOOLS
            answer = client.messages.create(
                model=model,
                max_tokens=60,
                system=system,  # type: ignore[arg-type]  # as a client's JSON
                tools=tools,  # type: ignore[arg-type]
                messages=sent,
            )
            content = [block.model_dump(exclude_none=True) for block in answer.content]
            history.append({"role": "assistant", "content": content})
            usage = answer.usage
            bills.append(
                Bill(
                    usage.input_tokens,
                    usage.cache_creation_input_tokens or 0,
                    usage.cache_read_input_tokens or 0,
                )
            )
            pause()
    return bills


class SharedClock:
    """The emulator's virtual time as the gateway's own."""

    def __init__(self, emu: RunningEmulator) -> None:
        self._emu = emu

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._emu.engine.clock.now(), UTC)

    def monotonic_ns(self) -> int:
        return round(self._emu.engine.clock.now() * 1e9)


@dataclass
class Paused:
    """What conversations with a pause of 20 minutes before each turn cost, and how they ended."""

    bills: list[Bill]
    plans: list[tuple[str, ...]]
    lifetimes: list[set[str]]


def paused(folder: Path, conversations: int, **settings: Any) -> Paused:
    """Turns of a client that marks for five minutes and comes back after twenty, always."""
    bills: list[Bill] = []
    with emulator() as emu:
        with served(emu, folder, clock=SharedClock(emu), **settings) as gateway:
            for number in range(conversations):
                bills += talk(
                    gateway.url,
                    range(6),
                    is_marked=True,
                    opening=f"Conversation {number}.",
                    pause=lambda: emu.advance(1_200.0),
                )
            found = settlements(gateway)
        bodies = [json.loads(received.http_request.body) for received in emu.requests]
    return Paused(bills, [tuple(record.plan) for record in found], list(map(lifetimes, bodies)))


def lifetimes(body: dict[str, Any]) -> set[str]:
    """Of the marks in a request."""
    blocks = [*body["system"], *body["tools"]]
    blocks += [b for message in body["messages"] for b in message["content"] if b]
    marks = [block["cache_control"] for block in blocks if "cache_control" in block]
    return {mark.get("ttl", "5m") for mark in marks}


def settlements(gateway: RunningGateway) -> list[Settlement]:
    return [row.settlement for row in gateway.ledger.rows() if row.settlement is not None]


def direct(**how: Any) -> list[Bill]:
    with emulator() as emu:
        return talk(emu.url, range(6), **how)


def through(folder: Path, settings: dict[str, Any], **how: Any) -> list[Bill]:
    with emulator() as emu, served(emu, folder, **settings) as gateway:
        return talk(gateway.url, range(6), **how)


def cost(bills: list[Bill]) -> float:
    return sum(bill.uncached + 1.25 * bill.written + 0.1 * bill.read for bill in bills)


def dear(bills: list[Bill]) -> float:
    """If all that is written is written for an hour."""
    return sum(bill.uncached + 2 * bill.written + 0.1 * bill.read for bill in bills)


# -- marks ----------------------------------------------------------------------------------------


def test_a_client_that_marks_nothing_pays_what_the_simulation_says(tmp_path: Path) -> None:
    bare = direct()
    workload = Workload(
        prefix_tokens=bare[0].uncached, turns=6, grow_tokens=bare[2].uncached - bare[1].uncached
    )
    simulated = list(simulate(workload, "rolling_5m", model=MODEL, min_cacheable_tokens=512))

    found = through(tmp_path, {})

    assert [bill.read for bill in found[1:]] == [bill.uncached for bill in bare[:-1]]
    assert [bill.uncached for bill in found] == [0] * 6
    assert [b.read + b.written for b in found] == [b.uncached for b in bare]
    steady = [usage.cache_read for usage in simulated]
    assert [abs(a.read - b) <= 4 * n for n, (a, b) in enumerate(zip(found, steady, strict=True))]


@pytest.mark.parametrize("trailing", [False, True])
def test_a_client_that_marks_well_keeps_its_hit_rate(tmp_path: Path, *, trailing: bool) -> None:
    how: dict[str, Any] = {"is_marked": True, "trailing": trailing, "model": UNBOUND}
    before = direct(**how)

    found = through(tmp_path, {}, **how)

    for left, right in zip(before, found, strict=True):
        assert right.read >= left.read
    assert cost(found) <= cost(before)


@pytest.mark.parametrize("settings", [{"profile": "observe"}, {"cache": "off"}])
def test_who_wants_no_lever_pays_what_it_would_pay_alone(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    assert through(tmp_path, settings) == direct()


def test_the_providers_automatic_mode_alone(tmp_path: Path) -> None:
    found = through(tmp_path, {"cache": "auto"})

    assert [bill.uncached for bill in found] == [0] * 6


# -- proof ----------------------------------------------------------------------------------------


def test_baselines_are_what_the_client_would_have_paid_and_savings_add_up(tmp_path: Path) -> None:
    bare = direct()
    with emulator() as emu, served(emu, tmp_path) as gateway:
        talk(gateway.url, range(6))
        found = settlements(gateway)

    for number, record in enumerate(found):
        assert record.accounting is not None
        assert record.cost is not None
        assert record.baseline_pico is not None
        saved = sum(each.saved_pico for each in record.accounting.savings)
        assert record.baseline_pico - record.cost.total == saved
        output = record.cost.output
        assert record.baseline_pico - output == bare[number].uncached * 4_000_000


def test_where_nothing_acts_the_baseline_is_the_cost(tmp_path: Path) -> None:
    with emulator() as emu, served(emu, tmp_path, profile="observe") as gateway:
        talk(gateway.url, range(3), is_marked=True)
        found = settlements(gateway)

    assert all(r.cost is not None and r.baseline_pico == r.cost.total for r in found)
    assert all(r.accounting is not None and not r.accounting.savings for r in found)


# -- lifetimes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_marks_of_ours_fit_between_the_clients_lifetimes(tmp_path: Path, ttl: str) -> None:
    mark = {"type": "ephemeral", "ttl": ttl}
    before = direct(is_marked=True, mark=mark)

    with emulator() as emu, served(emu, tmp_path) as gateway:
        found = talk(gateway.url, range(6), is_marked=True, mark=mark)
        bodies = [json.loads(received.http_request.body) for received in emu.requests]
        plans = [record.plan for record in settlements(gateway)]

    assert found == before
    assert any("+cache.marks" in plan for plan in plans)
    assert all(ttl in lifetimes(body) for body in bodies)


def test_who_comes_back_after_twenty_minutes_is_given_an_hour(tmp_path: Path) -> None:
    without = paused(tmp_path / "1", 6, levers_off=("cache.ttl",))

    found = paused(tmp_path / "2", 6)

    assert all(kinds == {"5m"} for kinds in without.lifetimes)
    assert all(bill.read == 0 for bill in without.bills)
    late = slice(-6, None)  # the last conversation: what was learned is in force
    assert all("+cache.ttl" in plan for plan in found.plans[late])
    assert all("1h" in kinds for kinds in found.lifetimes[late])
    assert all(bill.read > 0 for bill in found.bills[late][1:])
    assert dear(found.bills[late]) < 0.6 * cost(without.bills[late])


# -- repairs and pins -----------------------------------------------------------------------------


def test_shuffled_tools_are_repaired_by_name_pinned_and_read(tmp_path: Path) -> None:
    repairing = {"levers_on": ("repair.tools_order",)}

    broken = through(tmp_path / "1", {}, shuffled=True, model=UNBOUND)
    mended = through(tmp_path / "2", repairing, shuffled=True, model=UNBOUND)

    assert [bill.read for bill in broken[:3]] == [0, 0, 0]  # the fourth has the first one's order
    assert all(bill.read > 0 for bill in mended[1:])


def test_a_repair_from_the_first_request_on_keeps_bound_thinking_valid(tmp_path: Path) -> None:
    with pytest.raises(anthropic.BadRequestError):
        direct(shuffled=True)

    mended = through(tmp_path, {"levers_on": ("repair.tools_order",)}, shuffled=True)

    assert all(bill.read > 0 for bill in mended[1:])


def test_a_restart_with_another_policy_flips_no_prefix(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    with emulator() as emu:
        with served(emu, tmp_path, levers_on=("repair.tools_order",)) as gateway:
            talk(gateway.url, range(2), said=said)
        with served(emu, tmp_path) as gateway:
            found = talk(gateway.url, range(2, 4), said=said)
            plans = [record.plan for record in settlements(gateway)]

    assert all(bill.read > 0 for bill in found)
    assert all("+repair.tools_order" in plan for plan in plans)
