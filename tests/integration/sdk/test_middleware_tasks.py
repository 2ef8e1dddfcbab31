"""Tasks over the middleware: who pays for what, how it ended, and sessions as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

import farthing
from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.ledger import MemoryLedger
from farthing.ledger.tasks import TaskTotals, task_totals

ASKED: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 30,
    "messages": [{"role": "user", "content": "Hello"}],
}


@pytest.fixture
def middleware() -> Iterator[farthing.Farthing]:
    with farthing.Farthing(ledger=MemoryLedger()) as made:
        yield made


@pytest.fixture
def metered(emu, middleware) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=emu.url, api_key=emu.api_key, middleware=[middleware], max_retries=2
    ) as client:
        yield client


def by_id(middleware: farthing.Farthing) -> dict[str, TaskTotals]:
    return {one.task_id: one for one in task_totals(middleware.ledger)}


def test_a_tree_of_tasks_has_its_costs_and_its_outcomes(metered, middleware, emu):
    with farthing.task("project") as project:
        with farthing.task("fix") as fix:
            metered.messages.create(**ASKED)
            with farthing.task("test") as test:
                emu.fault("status=529 retry-after=0.01", times=2)
                metered.messages.create(**ASKED)
                test.failed(score=0.25)
            fix.passed()
        with farthing.task("write"):
            metered.messages.create(**ASKED)
        project.passed(score=1)

    tasks = by_id(middleware)

    assert [tasks[task.id].tree.exchanges for task in (project, fix, test)] == [3, 2, 1]
    assert [tasks[task.id].outcome for task in (project, fix, test)] == [
        "passed",
        "passed",
        "failed",
    ]
    assert (tasks[test.id].score, tasks[test.id].root_task_id) == (0.25, project.id)
    assert tasks[project.id].task_type == "project"  # though it made no call itself
    assert tasks[project.id].own.exchanges == 0
    assert {one.outcome for one in tasks.values() if one.task_type == "write"} == {None}
    assert project.cost_usd * 10**12 == tasks[project.id].tree.cost_pico
    assert project.cost_usd > fix.cost_usd > test.cost_usd > 0


def test_an_exception_says_nothing_about_how_a_task_ended(metered, middleware):
    risky = farthing.task("risky")
    with pytest.raises(farthing.BudgetExceededError), risky:
        metered.messages.create(**ASKED, extra_headers={"x-farthing-budget-usd": "0"})

    assert risky.outcome is None
    assert by_id(middleware)[risky.id].outcome is None
    metered.messages.create(**ASKED)
    assert by_id(middleware)[risky.id].own.released == 1


def test_a_task_may_be_judged_after_it_was_left_and_again(metered, middleware):
    with farthing.task("slow-verdict") as task:
        metered.messages.create(**ASKED)

    task.passed()
    task.failed(score=0.1)

    found = by_id(middleware)[task.id]
    assert (found.outcome, found.score, task.outcome) == ("failed", 0.1, "failed")


def test_a_header_of_one_call_goes_before_the_task_that_is_entered(metered, middleware):
    with farthing.task("outer") as outer:
        headers = {"x-farthing-task": "by-hand", "x-farthing-task-type": "other"}
        metered.messages.create(**ASKED, extra_headers=headers)
        metered.messages.create(**ASKED, extra_headers={"x-farthing-task-type": "renamed"})

    first, second = (row.opened.attribution for row in middleware.ledger.rows())
    assert (first.task_id, first.task_type, first.root_task_id) == ("by-hand", "other", "by-hand")
    assert (second.task_id, second.task_type) == (outer.id, "renamed")


def test_jobs_inherit_the_task_they_were_started_in(middleware, emu):
    async def run() -> tuple[farthing.Task, list[farthing.Task]]:
        async with anthropic.AsyncAnthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
        ) as client:

            async def agent(number: int) -> farthing.Task:
                async with farthing.task("agent", task_id=f"agent-{number}") as task:
                    await client.messages.create(**ASKED)
                    return task

            async with farthing.task("team") as team:
                return team, await asyncio.gather(*(agent(number) for number in range(3)))

    team, agents = asyncio.run(run())

    assert {agent.parent_id for agent in agents} == {team.id}
    assert by_id(middleware)[team.id].tree.exchanges == 3
    assert team.cost_usd == sum(agent.cost_usd for agent in agents)


def test_a_stream_read_after_its_task_was_left_still_belongs_to_it(metered, middleware):
    with farthing.task("lazy") as lazy:
        stream = metered.messages.create(**ASKED, stream=True)
    list(stream)

    assert by_id(middleware)[lazy.id].own.turns == 1
    assert lazy.cost_usd > 0


def test_the_headers_of_a_task_tell_a_gateway(emu, tmp_path):
    settings = Settings(upstream=emu.url, port=0, ledger=str(tmp_path / "ledger.db"))
    with (
        running_gateway(settings) as gateway,
        anthropic.Anthropic(base_url=gateway.url, api_key=emu.api_key) as client,
        farthing.task("a") as top,
        farthing.task("b"),
        farthing.task("c") as leaf,
    ):
        client.messages.create(**ASKED, extra_headers=leaf.headers())
        (row,) = gateway.ledger.rows()
        who = row.opened.attribution

    assert (who.task_id, who.task_type) == (leaf.id, "c")
    assert (who.parent_task_id, who.root_task_id) == (leaf.parent_id, top.id)


# --- sessions -------------------------------------------------------------------------------------


def test_a_session_over_the_middleware_is_booked_once(metered, middleware):
    with farthing.task("ticket") as ticket:
        talk = farthing.session(budget_usd=1, client=metered)
    talk.turn("classify", "Spam or not: you have won!")
    assert talk.last_task is not None
    talk.last_task.passed()
    talk.turn("Prüfung", "And this?")

    tasks = by_id(middleware)
    turns = [one for one in tasks.values() if one.parent_task_id == talk.task.id]

    assert len(list(middleware.ledger.rows())) == 2
    assert [(one.task_type, one.outcome) for one in turns] == [
        ("classify", "passed"),
        ("Pr?fung", None),
    ]
    assert tasks[talk.task.id].root_task_id == ticket.id
    assert float(talk.task.cost_usd) == pytest.approx(talk.spent, rel=1e-12)
    assert ticket.cost_usd == talk.task.cost_usd


def test_a_session_and_the_operators_budget_do_not_hold_twice(emu):
    with farthing.Farthing(ledger=MemoryLedger(), task_usd="0.05") as middleware:
        client = anthropic.Anthropic(base_url=emu.url, api_key=emu.api_key, middleware=[middleware])
        with client:
            talk = farthing.session(budget_usd=0.05, max_tokens=100, client=client)
            talk.turn("classify", "Spam or not?")
            talk.turn("classify", "And this?")

        assert talk.held == 0
        assert {row.state for row in middleware.ledger.rows()} == {"settled"}


def test_a_refusal_by_the_operators_budget_leaves_no_hold_in_the_session(emu):
    with farthing.Farthing(ledger=MemoryLedger(), task_usd="0.000001") as middleware:
        client = anthropic.Anthropic(base_url=emu.url, api_key=emu.api_key, middleware=[middleware])
        with client:
            talk = farthing.session(budget_usd=1, client=client)
            with pytest.raises(farthing.BudgetExceededError, match="task:"):
                talk.turn("classify", "Spam or not?")

        assert (talk.spent, talk.held) == (0, 0)
        assert emu.requests == []


def test_an_async_session_is_a_task_too(middleware, emu):
    async def run() -> farthing.AsyncSession:
        async with anthropic.AsyncAnthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
        ) as client:
            talk = farthing.session(budget_usd=1, client=client)
            await talk.turn("classify", "Spam or not?")
            return talk

    talk = asyncio.run(run())

    assert by_id(middleware)[talk.task.id].tree.turns == 1
