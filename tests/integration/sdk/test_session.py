"""``farthing.session`` over the SDK and the emulator: routed, bounded, cached, settled."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import Any

import anthropic
import pytest

import farthing
from farthing.lab.emulator import RunningEmulator
from farthing.lab.emulator.prices import cost_items
from farthing.sdk.session import AsyncSession, Session

LONG = "You are terse. " * 500
Start = Callable[..., Session]


@pytest.fixture
def start(client: anthropic.Anthropic) -> Start:
    return lambda **options: farthing.session(client=client, **options)


def sent(emu: RunningEmulator) -> list[dict[str, Any]]:
    return [json.loads(received.http_request.body) for received in emu.requests]


def billed_usd(emu: RunningEmulator) -> float:
    """What the emulator billed, by its own table of prices."""
    return sum(sum(cost_items(line).values()) for line in emu.billed) / 10**12


def answers(emu: RunningEmulator, *texts: str) -> None:
    emu.script({"content": text} for text in texts)


@anthropic.beta_tool
def lookup(word: str) -> str:
    """Look up a word.

    Args:
        word: what to look up
    """
    return f"{word} means something"


@anthropic.beta_tool
def broken(word: str) -> str:
    """Look up a word.

    Args:
        word: what to look up
    """
    raise OSError(f"no dictionary for {word}")


TOOLS_ONCE = "[[emulator: tools=1]] What does it mean?"


def test_a_turn_answers_with_claudes_words(start: Start, emu: RunningEmulator) -> None:
    answers(emu, "Spam.")
    session = start()

    assert session.turn("classify", "You have won!") == "Spam."
    assert session.messages == [
        {"role": "user", "content": "You have won!"},
        {"role": "assistant", "content": [{"type": "text", "text": "Spam."}]},
    ]


@pytest.mark.parametrize(
    ("task_type", "model"),
    [("classify", "claude-haiku-5-5"), ("research", "claude-opus-5-5"), ("?", "claude-sonnet-5-5")],
)
def test_each_turn_goes_to_the_model_of_its_task(
    start: Start, emu: RunningEmulator, task_type: str, model: str
) -> None:
    start().turn(task_type, "Hi")

    assert [body["model"] for body in sent(emu)] == [model]


def test_a_long_conversation_leaves_the_cheap_model(start: Start, emu: RunningEmulator) -> None:
    session = start(policy="articles")
    session.turn("classify", "word " * 60_000)

    assert sent(emu)[0]["model"] == "claude-sonnet-4-6"


def test_spent_is_what_the_provider_billed(start: Start, emu: RunningEmulator) -> None:
    session = start(system=LONG)
    for question in ("One?", "Two?", "Three?"):
        session.turn("research", question)

    assert session.spent == billed_usd(emu) > 0
    assert session.held == 0


def test_later_turns_read_what_earlier_ones_wrote(start: Start, emu: RunningEmulator) -> None:
    session = start(system=LONG, tools=[lookup])
    for question in ("One?", "Two?", "Three?"):
        session.turn("research", question)

    reads = [line.bill.accounting.read for line in emu.billed]
    assert reads[0] == 0
    assert 1_000 < reads[1] < reads[2]


def test_a_session_may_change_its_model_from_turn_to_turn(
    start: Start, emu: RunningEmulator
) -> None:
    session = start(tools=[lookup])
    for task_type in ("research", "classify", "reason", "research"):
        session.turn(task_type, TOOLS_ONCE)

    models = [body["model"] for body in sent(emu)]
    assert models[::2] == models[1::2]  # one model a turn, also after the tool
    assert len(set(models)) == 3
    assert session.spent == billed_usd(emu)


def test_the_history_itself_carries_no_marks(start: Start) -> None:
    session = start()
    session.turn("research", "One?")

    assert "cache_control" not in json.dumps(session.messages)


def test_a_call_that_could_pass_the_budget_is_not_sent(start: Start, emu: RunningEmulator) -> None:
    session = start(budget_usd=0.001)

    with pytest.raises(farthing.BudgetExceededError, match="raise budget_usd") as refused:
        session.turn("research", "Hi")

    assert refused.value.scope == "session"
    assert refused.value.limit == Decimal("0.001")
    assert isinstance(refused.value.estimated, Decimal)
    assert refused.value.estimated > refused.value.limit
    assert (emu.requests, session.messages, session.spent, session.held) == ([], [], 0, 0)


def test_spending_never_passes_the_budget(start: Start, emu: RunningEmulator) -> None:
    session = start(budget_usd="0.05", max_tokens=500)
    turns = (session.turn("research", f"Question {number}?") for number in range(1000))

    with pytest.raises(farthing.BudgetExceededError):
        list(turns)

    assert emu.requests
    assert 0 < session.spent <= 0.05


def test_the_worst_case_of_a_call_is_never_below_its_cost(
    start: Start, emu: RunningEmulator
) -> None:
    session = start(system=LONG, max_tokens=300)
    conversation = session._conversation
    for number in range(5):
        before = conversation.budget.spent
        new = [{"role": "user", "content": f"Question {number}?"}]
        request = conversation._request("claude-opus-5-5", new)
        worst = conversation.quotes.worst(request, on=date(2026, 11, 16))
        session.turn("research", f"Question {number}?")
        assert conversation.budget.spent - before <= worst


def test_a_session_without_a_cap(start: Start) -> None:
    session = start(budget_usd=None)
    session.turn("classify", "Hi")

    assert session.budget is None
    assert session.spent > 0


@pytest.mark.parametrize("wrong", [-1, "five", float("nan"), float("inf")])
def test_a_budget_that_is_no_amount_is_refused(start: Start, wrong: Any) -> None:
    with pytest.raises(ValueError, match="budget_usd"):
        start(budget_usd=wrong)


def test_the_third_repetition_with_the_same_answer_is_stopped_before_it_is_paid(
    start: Start, emu: RunningEmulator
) -> None:
    answers(emu, *["I cannot."] * 9)
    session = start()
    for _ in range(3):
        session.turn("classify", "Try again.")
    spent = session.spent

    with pytest.raises(farthing.LoopDetectedError, match="3 times") as caught:
        session.turn("classify", "Try again.")
    with pytest.raises(farthing.LoopDetectedError, match="4 times"):
        session.turn("classify", "Try again.")

    assert caught.value.match is not None
    assert caught.value.match.repeats == 3
    assert (session.spent, session.held, len(emu.requests)) == (spent, 0, 3)
    assert session.turn("classify", "Something else.") == "I cannot."


def test_the_same_words_between_different_answers_are_no_loop(
    start: Start, emu: RunningEmulator
) -> None:
    answers(emu, *map(str, range(6)))
    session = start()

    assert [session.turn("classify", "continue") for _ in range(6)] == list("012345")


def test_trying_again_what_failed_is_no_loop(start: Start, emu: RunningEmulator) -> None:
    session = start()
    emu.fault("status=529", times=4)
    for _ in range(4):
        with pytest.raises(anthropic.APIStatusError):
            session.turn("classify", "Hi")

    assert session.turn("classify", "Hi")
    assert len(session.messages) == 2


def test_what_the_api_refused_costs_and_holds_nothing(start: Start, emu: RunningEmulator) -> None:
    session = start()
    emu.fault("status=500")

    with pytest.raises(anthropic.InternalServerError):
        session.turn("classify", "Hi")

    assert (session.spent, session.held, session.messages) == (0, 0, [])


@pytest.fixture
def silence() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_of_a_call_without_an_answer_the_hold_stays(silence: str) -> None:
    with anthropic.Anthropic(base_url=silence, api_key="x", max_retries=0, timeout=0.2) as client:
        session = farthing.session(client=client)
        with pytest.raises(anthropic.APITimeoutError):
            session.turn("classify", "Hi")

    assert session.spent == 0
    assert session.held > 0


def test_what_could_not_be_sent_holds_nothing(silence: str) -> None:
    closed = "http://127.0.0.1:1"
    with anthropic.Anthropic(base_url=closed, api_key="x", max_retries=0) as client:
        session = farthing.session(client=client)
        with pytest.raises(anthropic.APIConnectionError):
            session.turn("classify", "Hi")

    assert session.held == 0


def test_a_tool_of_the_sdk_is_run(start: Start, emu: RunningEmulator) -> None:
    session = start(tools=[lookup])

    assert session.turn("research", TOOLS_ONCE)
    roles = [message["role"] for message in session.messages]
    assert roles == ["user", "assistant", "user", "assistant"]
    assert "means something" in json.dumps(session.messages[2])
    assert sent(emu)[0]["tools"][0]["name"] == "lookup"


def test_a_plain_definition_is_run_by_the_callers_function(start: Start) -> None:
    seen = []

    def run(name: str, arguments: dict[str, Any]) -> str:
        seen.append((name, sorted(arguments)))
        return "a meaning"

    session = start(tools=[lookup.to_dict()], run_tool=run)
    session.turn("research", TOOLS_ONCE)

    assert seen == [("lookup", ["word"])]


def test_a_tool_that_fails_is_claudes_to_deal_with(start: Start) -> None:
    session = start(tools=[broken])
    session.turn("research", TOOLS_ONCE)

    (result,) = session.messages[2]["content"]
    assert result["is_error"] is True
    assert result["content"].startswith("OSError: no dictionary")


def test_a_tool_nobody_runs_is_refused_at_the_start(start: Start) -> None:
    with pytest.raises(farthing.FarthingError, match=r"run_tool="):
        start(tools=[lookup.to_dict()])


def test_an_agent_that_repeats_a_tool_call_is_stopped(start: Start, emu: RunningEmulator) -> None:
    session = start(tools=[lookup])

    with pytest.raises(farthing.LoopDetectedError):
        session.turn("research", "[[emulator: loop]] What does it mean?")

    assert len(emu.requests) == 3  # each asked for the same call; its third result is not sent
    assert session.messages == []
    assert session.spent > 0


def test_an_error_of_farthings_inside_a_tool_ends_the_turn(start: Start) -> None:
    def run(name: str, arguments: dict[str, Any]) -> str:
        raise farthing.BudgetExceededError("the inner session has spent its budget")

    session = start(tools=[lookup.to_dict()], run_tool=run)
    with pytest.raises(farthing.BudgetExceededError, match="inner"):
        session.turn("research", TOOLS_ONCE)


def test_a_call_that_was_cut_off_is_not_kept(start: Start, emu: RunningEmulator) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "lookup", "input": {}}
    half = [{"type": "text", "text": "Let me"}, call]
    emu.script([{"content": half, "stop_reason": "max_tokens"}, {"content": "Done."}])
    session = start(tools=[lookup])

    assert session.turn("research", "Hi") == "Let me"
    assert session.turn("research", "Go on") == "Done."


def test_a_paused_answer_is_taken_up(start: Start, emu: RunningEmulator) -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    half = [{"type": "text", "text": "Searching. "}, search]
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    rest = [found, {"type": "text", "text": "Found."}]
    emu.script([{"content": half, "stop_reason": "pause_turn"}, {"content": rest}])
    session = start(tools=[{"type": "web_search_20250305", "name": "web_search"}])

    assert session.turn("research", "Hi") == "Searching. Found."
    assert session.turn("research", "Thanks.")


def test_an_unpriced_model_is_not_called(start: Start, emu: RunningEmulator) -> None:
    policy = farthing.TaskModels(models={}, default="claude-x", length_limits={})

    with pytest.raises(farthing.UnpricedModelError):
        start(policy=policy).turn("research", "Hi")

    assert emu.requests == []


def test_an_async_session_does_the_same(emu: RunningEmulator) -> None:
    @anthropic.beta_async_tool
    async def lookup_later(word: str) -> str:
        """Look up a word.

        Args:
            word: what to look up
        """
        return f"{word} means something"

    async def talk() -> AsyncSession:
        async with anthropic.AsyncAnthropic(base_url=emu.url, api_key=emu.api_key) as client:
            session = farthing.session(client=client, tools=[lookup_later, lookup])
            assert await session.turn("research", TOOLS_ONCE)
            with pytest.raises(farthing.LoopDetectedError):
                await session.turn("research", "[[emulator: loop]] And?")
            return session

    session = asyncio.run(talk())
    assert len(session.messages) == 4
    assert session.spent == billed_usd(emu)


def test_a_tool_that_fails_in_an_async_session_is_claudes_to_deal_with(
    emu: RunningEmulator,
) -> None:
    async def talk() -> AsyncSession:
        async with anthropic.AsyncAnthropic(base_url=emu.url, api_key=emu.api_key) as client:
            session = farthing.session(client=client, tools=[broken])
            await session.turn("research", TOOLS_ONCE)
            return session

    assert asyncio.run(talk()).messages[2]["content"][0]["is_error"] is True


def test_a_tool_nobody_here_can_run_is_an_error_result(start: Start, emu: RunningEmulator) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}
    emu.script([{"content": [call], "stop_reason": "tool_use"}, {"content": "Then not."}])
    session = start(tools=[{"type": "bash_20250124", "name": "bash"}])

    assert session.turn("research", "Hi") == "Then not."
    assert "no way to run 'bash'" in session.messages[2]["content"][0]["content"]


def test_turns_at_once_are_taken_one_by_one(emu: RunningEmulator) -> None:
    async def talk() -> AsyncSession:
        async with anthropic.AsyncAnthropic(base_url=emu.url, api_key=emu.api_key) as client:
            session = farthing.session(client=client)
            await asyncio.gather(*(session.turn("classify", str(n)) for n in range(5)))
            assert await session.turn("classify", "Thanks.")
            return session

    session = asyncio.run(talk())
    assert [message["role"] for message in session.messages] == ["user", "assistant"] * 6
    assert session.held == 0


def test_turns_of_many_threads_are_taken_one_by_one(start: Start) -> None:
    session = start()
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(lambda n: session.turn("classify", str(n)), range(5)))

    assert [message["role"] for message in session.messages] == ["user", "assistant"] * 5


def test_a_cancelled_turn_keeps_its_hold() -> None:
    asked = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await reader.read()  # never answered
        writer.close()

    async def talk() -> AsyncSession:
        async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with anthropic.AsyncAnthropic(base_url=url, api_key="x") as client:
                session = farthing.session(client=client)
                turn = asyncio.create_task(session.turn("classify", "Hi"))
                await asked.wait()
                turn.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await turn
                return session

    session = asyncio.run(talk())
    assert session.messages == []
    assert session.held > 0


def test_an_async_tool_in_a_sync_session_says_what_to_do(start: Start) -> None:
    async def run_later(name: str, arguments: dict[str, Any]) -> str:
        return "later"

    with pytest.raises(farthing.FarthingError, match="AsyncAnthropic"):
        start(tools=[lookup.to_dict()], run_tool=run_later).turn("research", TOOLS_ONCE)


def test_without_a_client_the_environment_names_one(
    emu: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in emu.environment.items():
        monkeypatch.setenv(name, value)

    session = farthing.session()
    assert session.turn("classify", "Hi")
    session._client.close()


def test_a_mistyped_option_is_refused_lest_a_budget_be_lost(client):
    with pytest.raises(TypeError, match=r"session\(\) takes no 'budget'; it takes 'budget_usd'"):
        farthing.session(budget=0.5, client=client)  # type: ignore[call-overload]
