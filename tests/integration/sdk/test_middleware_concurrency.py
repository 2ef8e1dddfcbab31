"""One client, one middleware, one ledger, two hundred threads or jobs: each call is booked once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import anthropic
import pytest

import farthing
from farthing.core.records import ExchangeRow
from farthing.ledger.tasks import task_totals

COUNT = 200
RETRIED = 20


@pytest.fixture
def middleware(tmp_path: Path) -> Iterator[farthing.Farthing]:
    with farthing.Farthing(ledger=tmp_path / "ledger.db") as made:
        yield made


def asked(number: int) -> dict[str, Any]:
    question = {"role": "user", "content": f"Question {number}"}
    return {"model": "claude-haiku-5-5", "max_tokens": 20, "messages": [question]}


def was_cut(row: ExchangeRow) -> bool:
    end = row.settlement
    return end is not None and end.state == "unsettled" and "upstream.cut" in end.notes


def check(middleware: farthing.Farthing, tasks: list[farthing.Task]) -> None:
    """Every call of every task is there once, on its own task, its retries with it.

    On a machine that stalls for seconds the emulator closes connections that the client then uses:
    such an attempt may have cost something and has a row of its own, an interval.
    """
    every = list(middleware.ledger.rows())
    rows = [row for row in every if not was_cut(row)]
    booked = Counter(row.opened.attribution.task_id for row in rows)
    totals = {one.task_id: one for one in task_totals(middleware.ledger)}

    assert len(rows) == 2 * COUNT
    assert {row.state for row in rows} == {"settled"}
    assert booked == {task.id: 2 for task in tasks}
    attempts = sum(row.settlement.attempts for row in every if row.settlement)
    assert attempts >= 2 * COUNT + RETRIED  # and those for which there was no connection in time
    assert [totals[task.id].own.cost_pico for task in tasks] == [
        int(task.cost_usd * 10**12) for task in tasks
    ]
    assert all(task.cost_usd > 0 for task in tasks)
    assert {totals[task.id].outcome for task in tasks} == {"passed"}
    assert len({row.opened.exchange_id for row in rows}) == len(rows)


def test_two_hundred_threads(middleware, emu):
    emu.fault("status=529 retry-after=0.01", times=RETRIED)
    all_at_once = threading.Barrier(COUNT)
    tasks = list[farthing.Task]()
    client = anthropic.Anthropic(
        base_url=emu.url, api_key=emu.api_key, middleware=[middleware], max_retries=9
    )

    def work(number: int) -> None:
        all_at_once.wait()
        with farthing.task("thread", task_id=f"t{number}") as task:
            tasks.append(task)
            client.messages.create(**asked(number))
            with client.messages.stream(**asked(number)) as stream:
                stream.until_done()
            task.passed()

    with client, ThreadPoolExecutor(COUNT) as pool:
        list(pool.map(work, range(COUNT)))

    check(middleware, tasks)


def test_two_hundred_jobs(middleware, emu):
    emu.fault("status=529 retry-after=0.01", times=RETRIED)
    tasks = list[farthing.Task]()

    async def work(client: anthropic.AsyncAnthropic, number: int) -> None:
        async with farthing.task("job", task_id=f"t{number}") as task:
            tasks.append(task)
            await client.messages.create(**asked(number))
            async with client.messages.stream(**asked(number)) as stream:
                await stream.until_done()
            task.passed()

    async def run() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware], max_retries=9
        ) as client:
            await asyncio.gather(*(work(client, number) for number in range(COUNT)))

    asyncio.run(run())

    check(middleware, tasks)


def test_one_middleware_serves_threads_and_event_loops_at_once(middleware, emu):
    def block(number: int) -> None:
        with anthropic.Anthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
        ) as client:
            for _ in range(5):
                client.messages.create(**asked(number))

    async def wait(number: int) -> None:
        async with anthropic.AsyncAnthropic(
            base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
        ) as client:
            await asyncio.gather(*(client.messages.create(**asked(number)) for _ in range(5)))

    with ThreadPoolExecutor(8) as pool:
        blocking = [pool.submit(block, number) for number in range(4)]
        waiting = [pool.submit(asyncio.run, wait(number)) for number in range(4)]
        for job in (*blocking, *waiting):
            job.result()

    rows = list(middleware.ledger.rows())
    assert (len(rows), {row.state for row in rows}) == (40, {"settled"})


def test_a_task_reaches_threads_with_a_copied_context_and_those_that_enter_it(middleware, emu):
    with anthropic.Anthropic(
        base_url=emu.url, api_key=emu.api_key, middleware=[middleware]
    ) as client:

        def call(number: int) -> None:
            client.messages.create(**asked(number))

        def entered(task: farthing.Task, number: int) -> None:
            with task:
                call(number)

        with farthing.task("outer") as outer, ThreadPoolExecutor(1) as pool:
            pool.submit(copy_context().run, call, 1).result()
            pool.submit(entered, outer, 2).result()
            pool.submit(call, 3).result()

    whose = [row.opened.attribution for row in middleware.ledger.rows()]
    assert [who.task_id for who in whose[:2]] == [outer.id] * 2
    assert whose[2].source == "lineage"
