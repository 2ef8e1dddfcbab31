"""Conformance: the Python SDK, unmodified, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from anthropic.types import TextBlock, ToolUseBlock

from farthing.lab.emulator import RunningEmulator

OLD, NEW = "claude-opus-4-5", "claude-opus-5-5"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
LONG: list[Any] = [{"type": "text", "text": "with " * 6000, "cache_control": {"type": "ephemeral"}}]
READ: Any = {
    "name": "read",
    "description": "Read a file.",
    "input_schema": {
        "type": "object",
        "properties": {"path": {"type": "string"}},
        "required": ["path"],
    },
}


def bodies(emu: RunningEmulator) -> list[bytes]:
    return [received.http_request.body for received in emu.requests]


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))


def test_create_answers_with_usage_and_a_request_id(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model=OLD, max_tokens=1000, messages=HELLO)
    assert message.stop_reason == "end_turn"
    assert text_of(message)
    assert message.usage.input_tokens > 0
    assert message.usage.service_tier == "standard"
    assert (message._request_id or "").startswith("req_")


def test_the_sdk_sends_its_key_as_bearer_and_the_new_version(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    client.messages.create(model=OLD, max_tokens=100, messages=HELLO)
    headers = emu.requests[-1].http_request.headers
    assert headers["authorization"].startswith("Bearer ")
    assert headers["anthropic-version"] == "2026-10-21"


def test_a_second_request_reads_what_the_first_wrote(client: anthropic.Anthropic) -> None:
    first, second = [
        client.messages.create(model=OLD, max_tokens=9, system=LONG, messages=HELLO).usage
        for _ in range(2)
    ]
    assert first.cache_creation is not None
    assert first.cache_creation.ephemeral_5m_input_tokens == first.cache_creation_input_tokens
    assert second.cache_read_input_tokens == first.cache_creation_input_tokens
    assert second.cache_creation_input_tokens == 0


def test_an_hour_costs_nothing_to_wait_for(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    client.messages.create(model=OLD, max_tokens=9, system=LONG, messages=HELLO)
    emu.advance(3600)
    late = client.messages.create(model=OLD, max_tokens=9, system=LONG, messages=HELLO)
    assert late.usage.cache_read_input_tokens == 0


def test_top_level_cache_control_marks_the_last_block(client: anthropic.Anthropic) -> None:
    message = client.messages.create(
        model=OLD,
        max_tokens=9,
        cache_control={"type": "ephemeral", "ttl": "1h"},
        messages=[{"role": "user", "content": "with " * 6000}],
    )
    assert message.usage.cache_creation is not None
    assert message.usage.cache_creation.ephemeral_1h_input_tokens > 6000
    assert message.usage.input_tokens == 0


def test_streamed_text_and_final_message_agree(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=NEW, max_tokens=900, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == text_of(final)
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.usage.output_tokens > 20


def test_raw_events_can_be_iterated(client: anthropic.Anthropic) -> None:
    events = client.messages.create(model=OLD, max_tokens=100, messages=HELLO, stream=True)
    types = [event.type for event in events]
    assert types[0] == "message_start"
    assert types[-1] == "message_stop"


def test_a_streamed_tool_call_is_assembled(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model=OLD,
        max_tokens=500,
        tools=[READ],
        messages=HELLO,
        extra_headers={"x-emulator-answer": "tools=1"},
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    (call,) = [block for block in final.content if isinstance(block, ToolUseBlock)]
    assert isinstance(call.input, dict)
    assert set(call.input) == {"path"}


def test_the_async_client_works_in_parallel(claude_api_url: str, emu: RunningEmulator) -> None:
    async def ask() -> list[str | None]:
        async with anthropic.AsyncAnthropic(base_url=claude_api_url, api_key="sk-emu-acme") as made:
            jobs = [made.messages.create(model=OLD, max_tokens=50, messages=HELLO) for _ in "12345"]
            return [message.stop_reason for message in await asyncio.gather(*jobs)]

    assert len(asyncio.run(ask())) == 5
    assert len(emu.billed) == 5


def test_the_async_client_streams(claude_api_url: str) -> None:
    async def ask() -> str:
        async with (
            anthropic.AsyncAnthropic(base_url=claude_api_url, api_key="sk-emu-acme") as made,
            made.messages.stream(model=OLD, max_tokens=100, messages=HELLO) as stream,
        ):
            return await stream.get_final_text()

    assert asyncio.run(ask())


@anthropic.beta_tool
def lookup(word: str) -> str:
    """Look up a word.

    Args:
        word: what to look up
    """
    return f"{word} means something"


def test_the_tool_runner_finishes_with_threads(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    runner = client.beta.messages.tool_runner(
        model=NEW,
        max_tokens=1000,
        tools=[lookup],
        messages=[{"role": "user", "content": "[[emulator: tools=3]] go"}],
    )
    replies = list(runner)
    assert [reply.stop_reason for reply in replies] == ["tool_use"] * 3 + ["end_turn"]
    threads = [b'"thread"' in body for body in bodies(emu)]
    assert any(threads)
    sizes = [reply.usage.input_tokens for reply in replies]
    assert sizes == sorted(set(sizes))


def test_the_tool_runner_recovers_from_a_lost_thread(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    runner = client.beta.messages.tool_runner(
        model=OLD,
        max_tokens=1000,
        tools=[lookup],
        messages=[{"role": "user", "content": "[[emulator: tools=3]] go"}],
    )
    stops = []
    for reply in runner:
        stops.append(reply.stop_reason)
        emu.advance(301)
    assert stops[-1] == "end_turn"


@anthropic.beta_async_tool
async def lookup_later(word: str) -> str:
    """Look up a word.

    Args:
        word: what to look up
    """
    return f"{word} means something"


def test_the_async_tool_runner_streams_with_threads(
    claude_api_url: str, emu: RunningEmulator
) -> None:
    async def run() -> list[str | None]:
        async with anthropic.AsyncAnthropic(base_url=claude_api_url, api_key="sk-emu-acme") as made:
            runner = made.beta.messages.tool_runner(
                model=NEW,
                max_tokens=1000,
                tools=[lookup_later],
                messages=[{"role": "user", "content": "[[emulator: tools=2]] go"}],
                stream=True,
            )
            return [(await turn.get_final_message()).stop_reason async for turn in runner]

    assert asyncio.run(run()) == ["tool_use", "tool_use", "end_turn"]
    assert any(b'"continue"' in body for body in bodies(emu))


def test_count_tokens_agrees_with_usage(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model=OLD, messages=HELLO, tools=[READ])
    used = client.messages.create(model=OLD, max_tokens=9, messages=HELLO, tools=[READ]).usage
    assert counted.input_tokens == used.input_tokens


def test_beta_count_tokens_works(client: anthropic.Anthropic) -> None:
    assert client.beta.messages.count_tokens(model=OLD, messages=HELLO).input_tokens > 0


def test_models_are_listed_and_shown(client: anthropic.Anthropic) -> None:
    names = [model.id for model in client.models.list(limit=5)]
    assert len(names) == len(set(names)) > 15
    model = client.models.retrieve(OLD)
    assert model.max_input_tokens == 200_000
    assert model.capabilities is not None
    assert model.capabilities.thinking.types.enabled.supported is True


def item(n: int) -> Any:
    return {
        "custom_id": f"row-{n}",
        "params": {"model": OLD, "max_tokens": 50, "messages": HELLO},
    }


def test_a_batch_is_created_polled_and_read(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    batches = client.messages.batches
    batch = batches.create(requests=[item(n) for n in range(10)])
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.processing == 10
    emu.advance(61)
    batch = batches.retrieve(batch.id)
    assert batch.processing_status == "ended"
    assert batch.request_counts.succeeded == 10
    rows = {row.custom_id: row.result for row in batches.results(batch.id)}
    assert len(rows) == 10
    result = rows["row-3"]
    assert result.type == "succeeded"
    assert result.message.usage.service_tier == "batch"
    assert [one.id for one in batches.list()] == [batch.id]
    assert batches.delete(batch.id).type == "message_batch_deleted"


def test_a_batch_is_cancelled(client: anthropic.Anthropic, emu: RunningEmulator) -> None:
    batch = client.messages.batches.create(requests=[item(1)])
    assert client.messages.batches.cancel(batch.id).processing_status == "canceling"
    emu.advance(1)
    assert client.messages.batches.retrieve(batch.id).request_counts.canceled == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (413, anthropic.APIStatusError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
def test_errors_become_the_sdks_exceptions(
    client: anthropic.Anthropic, status: int, error: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        client.with_options(max_retries=0).messages.create(
            model=OLD,
            max_tokens=9,
            messages=HELLO,
            extra_headers={"x-emulator-fault": f"status={status}"},
        )
    assert caught.value.status_code == status
    assert caught.value.request_id


def test_the_sdk_retries_a_burst_until_it_is_served(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    emu.fault("status=529 retry-after=0.01", times=2)
    client.messages.create(model=OLD, max_tokens=9, messages=HELLO)
    assert [received.status for received in emu.requests] == [529, 529, 200]
    counts = [r.http_request.headers["x-stainless-retry-count"] for r in emu.requests]
    assert counts == ["0", "1", "2"]
    assert len(set(bodies(emu))) == 1
    assert len(emu.billed) == 1


def test_the_sdk_gives_up_after_three_attempts(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    emu.fault("status=429 retry-after=0.01", times=5)
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(model=OLD, max_tokens=9, messages=HELLO)
    assert len(emu.requests) == 3


def test_a_deterministic_400_is_not_retried(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"cache_control may be provided. Found 5"):
        client.messages.create(model=OLD, max_tokens=9, system=LONG * 5, messages=HELLO)
    assert len(emu.requests) == 1


def test_temperature_is_refused_under_the_new_version(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(
            model=OLD, max_tokens=9, messages=HELLO, extra_body={"temperature": 0.5}
        )


def test_a_cut_stream_is_an_error_and_is_not_retried(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    emu.fault("cut=4")
    with (
        pytest.raises(Exception, match=r"(?i)incomplete|peer closed|disconnect"),
        client.messages.stream(model=OLD, max_tokens=100, messages=HELLO) as stream,
    ):
        stream.get_final_message()
    assert len(emu.requests) == 1


def test_an_error_event_in_a_stream_is_raised(
    client: anthropic.Anthropic, emu: RunningEmulator
) -> None:
    emu.fault("error-event=overloaded_error after=2")
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=OLD, max_tokens=100, messages=HELLO) as stream,
    ):
        stream.get_final_message()


def test_thinking_survives_a_round_trip_through_the_sdks_types(
    client: anthropic.Anthropic,
) -> None:
    messages: list[Any] = [{"role": "user", "content": "[[emulator: tools=3]]"}]
    for _ in range(3):
        answer = client.messages.create(model=NEW, max_tokens=900, tools=[READ], messages=messages)
        messages.append(answer.to_param())
        calls = [block for block in answer.content if isinstance(block, ToolUseBlock)]
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": "ok"} for c in calls]
        messages.append({"role": "user", "content": results})
    final = client.messages.create(model=NEW, max_tokens=900, tools=[READ], messages=messages)
    assert final.stop_reason == "end_turn"


def test_structured_output_is_parsed(client: anthropic.Anthropic) -> None:
    from pydantic import BaseModel

    class Title(BaseModel):
        title: str
        words: int

    parsed = client.messages.parse(
        model=OLD, max_tokens=100, messages=HELLO, output_format=Title
    ).parsed_output
    assert parsed is not None
    assert parsed.title


def test_rate_limit_headers_reach_the_client(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(model=OLD, max_tokens=9, messages=HELLO)
    assert int(raw.headers["anthropic-ratelimit-requests-limit"]) > 0
    assert raw.headers["anthropic-organization-id"]


def test_a_compaction_reaches_the_sdks_types(client: anthropic.Anthropic) -> None:
    edit: Any = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}
    message = client.beta.messages.create(
        model=OLD,
        max_tokens=50,
        betas=["compact-2026-01-12"],
        context_management={"edits": [edit]},
        messages=[{"role": "user", "content": "with " * 60_000}],
    )
    assert message.content[0].type == "compaction"
    assert [one.type for one in message.usage.iterations or []] == ["compaction", "message"]
