"""Loops through the real gateway: told, noted, stopped; honest work untouched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import anthropic
import pytest

from farthing.cli.main import main
from farthing.compose import RunningGateway, running_gateway
from farthing.config import Settings
from farthing.core.records import ExchangeRow, Settlement
from farthing.lab.emulator import RunningEmulator, emulator
from tests.integration.gateway.loop_agents import Agent, Turn, long_text
from tests.integration.notify.endpoints import slack

SAME: Turn = ("read_file", {"path": "build.log"}, long_text("log"))
THREE: list[Turn] = [
    ("read_file", {"path": "a.py"}, long_text("a")),
    ("edit_file", {"path": "a.py", "old": "x", "new": "x"}, long_text("nothing")),
    ("bash", {"command": "make"}, long_text("failed")),
]
PICO = 10**12
MakeAgent = Callable[..., Agent]


@pytest.fixture
def emu() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def settings(emu: RunningEmulator, tmp_path: Path) -> Settings:
    return Settings(upstream=emu.url, port=0, ledger=str(tmp_path / "ledger.db"))


@pytest.fixture
def gateway(settings: Settings) -> Iterator[RunningGateway]:
    with running_gateway(settings) as running:
        yield running


@pytest.fixture
def agent() -> Iterator[MakeAgent]:
    """Makes agents whose SDK tries again whatever it may."""
    clients: list[anthropic.Anthropic] = []

    def make(url: str, **headers: str) -> Agent:
        clients.append(anthropic.Anthropic(base_url=url, api_key="sk-emu-acme", max_retries=2))
        return Agent(clients[-1], {name.replace("_", "-"): v for name, v in headers.items()})

    yield make
    for client in clients:
        client.close()


def rows(gateway: RunningGateway) -> list[ExchangeRow]:
    gateway.ledger.flush()
    return [row for row in gateway.ledger.rows() if row.opened.endpoint == "messages"]


def ends(gateway: RunningGateway) -> list[Settlement]:
    return [row.settlement for row in rows(gateway) if row.settlement is not None]


def spent(gateway: RunningGateway) -> float:
    return sum(end.cost.total for end in ends(gateway) if end.cost is not None) / PICO


def bodies(emu: RunningEmulator) -> list[bytes]:
    return [each.http_request.body for each in emu.requests]


def notes(body: bytes) -> list[tuple[int, str]]:
    return [
        (at, block["text"])
        for at, said in enumerate(json.loads(body)["messages"])
        if not isinstance(said["content"], str)
        for block in said["content"]
        if "<farthing-note>" in block.get("text", "")
    ]


def refused(run: Callable[[], None]) -> Any:
    with pytest.raises(anthropic.APIStatusError) as raised:
        run()
    return raised.value


# --- stopped --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [50, 100, 300])
def test_a_loop_is_stopped_after_six_turns_and_not_tried_again(turns, gateway, agent, emu):
    one = agent(gateway.url)

    error = refused(lambda: one.run(islice(cycle([SAME]), turns)))

    assert error.status_code == 402
    assert error.response.headers["x-should-retry"] == "false"
    assert error.response.headers["x-farthing-loop"] == "exact_cycle repeats=6 step=stop"
    assert error.body["error"]["type"] == "billing_error"
    assert error.body["error"]["details"]["error_code"] == "farthing.loop.detected"
    assert "read_file" in error.body["error"]["message"]
    assert one.turns == 6
    assert [row.state for row in rows(gateway)] == ["settled"] * 6 + ["released"]
    assert len(emu.requests) == 6
    # docs/loops.md: $0.05 instead of the $1.35 of a hundred turns
    assert 0.045 < spent(gateway) < 0.055


@pytest.mark.parametrize("turns", [50, 100, 300])
def test_a_cycle_of_three_is_stopped_within_its_bound(turns, gateway, agent, emu):
    one = agent(gateway.url)

    assert refused(lambda: one.run(islice(cycle(THREE), turns))).status_code == 402

    # min(6 × 3, 3 + 10): turns that show nothing new count as well
    assert one.turns == len(emu.requests) == 13
    assert spent(gateway) < 0.11


def test_without_the_guard_the_loop_goes_on_and_costs(settings, agent, emu):
    with running_gateway(replace(settings, loops=False)) as gateway:
        agent(gateway.url).run(islice(cycle([SAME]), 50))

        assert len(emu.requests) == 50
        assert spent(gateway) > 0.4


def test_told_at_the_third_copy_and_noted_there(gateway, agent, emu):
    one = agent(gateway.url)
    refused(lambda: one.run(islice(cycle([SAME]), 50)))

    assert [head.get("x-farthing-loop") for head in one.heard] == [
        None,
        None,
        None,
        "exact_cycle repeats=3 step=note",
        "exact_cycle repeats=4 step=escalate",
        "exact_cycle repeats=5 step=escalate",
    ]
    assert [len(notes(body)) for body in bodies(emu)] == [0, 0, 0, 1, 1, 1]
    assert [end.notes[-1] for end in ends(gateway)[3:6]] == ["loop.noted", *["loop.notes:1"] * 2]


def test_somebody_who_says_something_new_is_heard(gateway, agent):
    one = agent(gateway.url)
    refused(lambda: one.run(islice(cycle([SAME]), 50)))

    one.messages[-1]["content"].append({"type": "text", "text": "Read the other file instead."})
    one.ask()

    assert "x-farthing-loop" not in one.heard[-1]


def test_a_stopped_call_is_explained(gateway, agent, capsys, settings):
    one = agent(gateway.url)
    error = refused(lambda: one.run(islice(cycle([SAME]), 50)))
    gateway.ledger.flush()
    exchange_id = error.response.headers["x-farthing-exchange-id"]

    assert main(["explain", exchange_id, "--ledger", settings.ledger, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    loop = document["ending"]["loop"]
    assert (loop["kind"], loop["step"], loop["repeats"]) == ("exact_cycle", "stop", 6)
    assert (loop["cycle"], loop["wasted_turns"], loop["tools"]) == (1, 5, ["read_file"])
    # the five turns behind the first copy: all that was spent but the first call
    costs = [end.cost.total for end in ends(gateway) if end.cost is not None]
    assert float(loop["wasted_usd"]) * PICO == pytest.approx(sum(costs[1:6]))
    assert main(["explain", exchange_id, "--ledger", settings.ledger]) == 0
    assert "came back with the same results 6 times in a row" in capsys.readouterr().out


def test_a_stop_is_in_the_journal(settings, agent, capsys):
    with running_gateway(settings) as gateway:
        one = agent(gateway.url)
        refused(lambda: one.run(islice(cycle([SAME]), 50)))

    assert main(["journal", "export", "--ledger", str(settings.ledger)]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (stop,) = [event for event in events if event["kind"] == "loop.stopped"]
    assert "loop.stopped:exact_cycle step=stop repeats=6" in stop["facts"]["why"]


def test_somebody_is_told_once_when_it_is_seen_and_once_when_it_is_stopped(settings, agent):
    with slack() as endpoint:
        with running_gateway(replace(settings, alerts_slack_url=endpoint.url)) as gateway:
            one = agent(gateway.url)
            refused(lambda: one.run(islice(cycle([SAME]), 50)))
            endpoint.wait(1)
        said = json.dumps(endpoint.documents)
    assert "exact_cycle (read_file)" in said
    assert "stopped" in said


# --- notes ----------------------------------------------------------------------------------------


def noted(url: str, agent: MakeAgent) -> Agent:
    """An agent that has looped three times and was told."""
    one: Agent = agent(url)
    one.run([SAME] * 3)
    one.ask()
    return one


def test_notes_stay_and_what_was_cached_is_read(gateway, agent, emu):
    one = noted(gateway.url, agent)
    for number in range(8):
        one.acted("read_file", {"path": f"{number}.py"}, long_text(f"file{number}"))
        one.ask()

    found = [notes(body) for body in bodies(emu)[3:]]
    assert len(found[0]) == 1
    assert all(each == found[0] for each in found)
    for before, after in pairwise(end.usage for end in ends(gateway)[1:]):
        assert before is not None
        assert after is not None
        # what was written last time is read this time: no prefix has flipped
        assert after.cache_read == before.cache_read + before.cache_write_5m


def test_a_gateway_with_other_settings_leaves_open_conversations_as_they_are(settings, agent, emu):
    with running_gateway(settings) as gateway:
        one = noted(gateway.url, agent)
    changed = replace(settings, loops_repeats=7, loops_no_progress=9, loops_ladder=("stop=100",))
    with running_gateway(changed) as gateway:
        other = agent(gateway.url)
        other.messages = one.messages
        other.acted("read_file", {"path": "b.py"}, long_text("b"))
        other.ask()
        fresh = agent(gateway.url)
        fresh.messages[0]["content"] += "another task"
        fresh.run([SAME] * 4)
        fresh.ask()

    assert notes(bodies(emu)[4]) == notes(bodies(emu)[3]) != []
    assert not any(notes(body) for body in bodies(emu)[5:])


def test_where_the_policy_observes_nothing_is_changed_and_loops_are_stopped(settings, agent, emu):
    with running_gateway(replace(settings, profile="observe")) as gateway:
        one = agent(gateway.url)
        refused(lambda: one.run(islice(cycle([SAME]), 50)))

    assert not any(notes(body) for body in bodies(emu))
    assert len(emu.requests) == 6


# --- honest work ----------------------------------------------------------------------------------


def polls() -> list[Turn]:
    return [("bash", {"command": "sleep 30; gh run view 7"}, "status: in_progress")] * 20


def pages() -> list[Turn]:
    return [("list", {"page": n}, long_text(f"page{n}", 60)) for n in range(20)]


def waiting_tool() -> list[Turn]:
    return [("wait_for_build", {"id": 7}, "still running")] * 20


def test_and_fix() -> list[Turn]:
    turns: list[Turn] = []
    for number in range(8):
        turns += [
            ("edit_file", {"path": "a.py", "old": f"v{number}", "new": f"v{number + 1}"}, "ok"),
            ("bash", {"command": "pytest"}, "12 failed, 3 passed: test_a, test_b"),
        ]
    return turns


HONEST = [polls, pages, waiting_tool, test_and_fix]
test_and_fix.__test__ = False  # type: ignore[attr-defined]  # a script, no test


@pytest.mark.parametrize("script", HONEST, ids=lambda made: made.__name__)
def test_honest_work_goes_through_byte_for_byte(script, gateway, agent, emu):
    one = agent(gateway.url, x_farthing_levers="-*")
    one.run(script())
    one.ask()
    through = bodies(emu)
    with emulator() as other:
        direct = agent(other.url)
        direct.run(script())
        direct.ask()
        assert through == bodies(other)

    assert not any("x-farthing-loop" in head for head in one.heard)


def test_a_client_that_wants_its_bytes_left_alone_is_left_alone(gateway, agent, emu):
    one = agent(gateway.url, x_farthing_bypass="1")
    one.run([SAME] * 9)

    assert len(emu.requests) == 9
    assert not any("x-farthing-loop" in head for head in one.heard)


# --- trees and speed ------------------------------------------------------------------------------


def subagent(url: str, agent: MakeAgent, number: int, parent: int | None) -> Agent:
    headers = {"x_claude_code_session_id": "s1", "x_claude_code_agent_id": f"a{number}"}
    if parent is not None:
        headers["x_claude_code_parent_agent_id"] = f"a{parent}"
    made: Agent = agent(url, **headers)
    return made


def test_agents_that_call_agents_without_end_are_stopped(gateway, agent, emu):
    def descend() -> None:
        for number in range(40):
            subagent(gateway.url, agent, number, number - 1 if number else None).ask()

    error = refused(descend)

    # told at nine deep, stopped at twice the limit of eight
    assert error.response.headers["x-farthing-loop"] == "recursion_depth repeats=16 step=stop"
    assert len(emu.requests) == 15


def test_a_tree_that_grows_fast_is_told_and_refused_where_that_was_asked_for(settings, agent, emu):
    strict = replace(
        settings,
        loops_tasks_per_minute=3,
        loops_ladder=("alert=100", "stop=100"),
        loops_stops=("fan_out_rate",),
    )
    with running_gateway(strict) as gateway:
        for number in range(3):
            subagent(gateway.url, agent, number, None).ask()
        error = refused(subagent(gateway.url, agent, 3, None).ask)
        # what runs may go on
        subagent(gateway.url, agent, 0, None).ask()

    assert error.response.headers["x-farthing-loop"] == "fan_out_rate repeats=4 step=stop"
    assert len(emu.requests) == 4


def test_a_tree_that_spends_beyond_its_minute_is_refused(settings, agent, emu):
    with running_gateway(replace(settings, loops_minute_usd=PICO // 50)) as gateway:
        one = agent(gateway.url)
        error = refused(lambda: one.run(pages()))

        assert error.response.headers["x-farthing-loop"].startswith("cost_cap ")
        assert 0.02 < spent(gateway) < 0.06
    assert 1 <= len(emu.requests) < 10


def test_a_new_process_knows_what_minutes_usually_cost(settings, agent):
    with running_gateway(settings) as gateway:
        for number in range(20):
            agent(gateway.url, x_farthing_task=f"t{number}", x_farthing_task_type="triage").ask()
        gateway.ledger.flush()
    with running_gateway(settings) as gateway:
        one = agent(gateway.url, x_farthing_task="runaway", x_farthing_task_type="triage")
        one.run(pages())

        told = [head.get("x-farthing-loop", "") for head in one.heard]
        assert not told[0]
        assert told[-1].startswith("cost_velocity ")
