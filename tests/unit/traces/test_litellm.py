"""LiteLLM logs: payload lines and rows of the spend table."""

from __future__ import annotations

import json

import pytest

from farthing.traces.format import is_billed
from farthing.wire.usage import parse_usage
from tests.unit.traces.recorded import read

QUESTION = {"role": "user", "content": "What is a farthing?"}
ANSWER = {"role": "assistant", "content": "A quarter of a penny."}


def payload(identity="call-1", messages=(QUESTION,), answer=ANSWER, **more):
    """A ``StandardLoggingPayload``, as far as it matters."""
    return {
        "id": identity,
        "trace_id": f"trace-{identity}",
        "call_type": "acompletion",
        "status": "success",
        "response_cost": 0.01,
        "prompt_tokens": 1100,
        "completion_tokens": 20,
        "total_tokens": 1120,
        "startTime": 1_760_000_000.0,
        "endTime": 1_760_000_002.5,
        "model": "anthropic/claude-opus-4-8",
        "stream": False,
        "cache_hit": False,
        "metadata": {
            "user_api_key_alias": "nightly",
            "usage_object": {
                "prompt_tokens": 1100,
                "completion_tokens": 20,
                "cache_read_input_tokens": 900,
                "cache_creation_input_tokens": 150,
            },
        },
        "messages": list(messages),
        "response": {"id": f"msg-{identity}", "choices": [{"message": answer}]},
        "model_parameters": {"stream": False},
        **more,
    }


def written(folder, *records):
    path = folder / "spend.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    return path


def counts(call):
    found = parse_usage(bytes(call.usage))
    return (
        found.uncached,
        found.cache_read,
        found.cache_write_5m,
        found.cache_write_1h,
        found.output,
    )


def only_call(folder, record):
    found, state = read(written(folder, record))
    assert state.kinds == {"litellm": 1}
    return found[0].calls[0]


def test_a_payload_is_a_conversation_of_one_call(tmp_path):
    found, state = read(written(tmp_path, payload()))

    one = found[0]
    assert state.kinds == {"litellm": 1}
    assert (one.source, one.model, one.project) == ("litellm", "claude-opus-4-8", "nightly")
    assert [message.role for message in one.messages] == ["user", "assistant"]
    assert (one.calls[0].at, one.calls[0].done_at, one.calls[0].streamed) == (0.0, 2.5, False)


def test_prompt_tokens_that_cover_the_cached_ones_include_them(tmp_path):
    assert counts(only_call(tmp_path, payload())) == (50, 900, 150, 0, 20)


def test_prompt_tokens_below_the_cached_ones_exclude_them(tmp_path):
    usage_object = {
        "prompt_tokens": 31,
        "completion_tokens": 467,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 1253,
    }
    record = payload(metadata={"usage_object": usage_object})

    assert counts(only_call(tmp_path, record)) == (31, 0, 1253, 0, 467)


@pytest.mark.parametrize(("prompt", "uncached"), [(1050, 0), (1049, 1049)])
def test_the_border_between_including_and_excluding(tmp_path, prompt, uncached):
    record = payload()
    record["metadata"]["usage_object"]["prompt_tokens"] = prompt

    assert counts(only_call(tmp_path, record))[0] == uncached


def test_one_hour_writes_are_known_where_details_survived(tmp_path):
    record = payload()
    record["metadata"]["usage_object"]["prompt_tokens_details"] = {
        "cached_tokens": 900,
        "cache_creation_token_details": {
            "ephemeral_5m_input_tokens": 0,
            "ephemeral_1h_input_tokens": 150,
        },
    }

    assert counts(only_call(tmp_path, record)) == (50, 900, 0, 150, 20)


def test_the_providers_own_usage_is_taken_as_it_is(tmp_path):
    own = {"input_tokens": 3, "cache_read_input_tokens": 7, "output_tokens": 2}
    record = payload(
        response={"id": "msg_1", "content": [{"type": "text", "text": "x"}], "usage": own}
    )

    assert counts(only_call(tmp_path, record)) == (3, 7, 0, 0, 2)


def test_a_row_of_the_spend_table_has_iso_times_and_json_in_strings(tmp_path):
    usage_object = {"prompt_tokens": 10, "completion_tokens": 2}
    row = {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "spend": 0.1,
        "startTime": "2026-10-10T09:00:00.000Z",
        "endTime": "2026-10-10T09:00:04.000Z",
        "model": "claude-opus-4-8",
        "metadata": json.dumps({"usage_object": usage_object}),
        "messages": json.dumps([QUESTION]),
        "response": "{}",
        "team_id": "team-a",
        "cache_hit": "False",
    }

    found, _ = read(written(tmp_path, row))

    assert found[0].project == "team-a"
    assert found[0].started_at == "2026-10-10T09:00:00.000+00:00"
    assert (found[0].calls[0].done_at, counts(found[0].calls[0])) == (4.0, (10, 0, 0, 0, 2))


def test_a_bare_row_with_counts_only_still_counts(tmp_path):
    row = {
        "request_id": "r1",
        "call_type": "acompletion",
        "startTime": "2026-10-10 09:00:00",
        "endTime": "2026-10-10 09:00:01",
        "model": "claude-opus-4-8",
        "prompt_tokens": 70,
        "completion_tokens": 5,
    }

    assert counts(only_call(tmp_path, row)) == (70, 0, 0, 0, 5)


@pytest.mark.parametrize(
    "more", [{"cache_hit": True}, {"cache_hit": "True"}, {"status": "failure"}]
)
def test_hits_of_its_own_cache_and_failures_were_not_billed(tmp_path, more):
    assert not is_billed(only_call(tmp_path, payload(**more)))


def test_calls_of_a_session_that_extend_one_another_are_one_conversation(tmp_path):
    again = {"role": "user", "content": "And a groat?"}
    first = payload("1", session_id="s")
    second = payload("2", [QUESTION, ANSWER, again], session_id="s", startTime=1_760_000_060.0)

    found, _ = read(written(tmp_path, first, second))

    assert len(found) == 1
    assert [call.prompt_messages for call in found[0].calls] == [1, 3]
    assert [call.at for call in found[0].calls] == [0.0, 60.0]


def test_calls_of_a_session_about_different_things_are_two_conversations(tmp_path):
    other = {"role": "user", "content": "Something else"}
    records = payload("1", session_id="s"), payload("2", [other], session_id="s")

    found, _ = read(written(tmp_path, *records))

    assert len(found) == 2


def test_a_repeated_row_is_billed_once(tmp_path):
    found, _ = read(written(tmp_path, payload("1"), payload("1")))

    assert sum(is_billed(call) for one in found for call in one.calls) == 1


def test_chat_messages_become_blocks(tmp_path):
    messages = [
        {"role": "system", "content": "be brief"},
        QUESTION,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "t1", "function": {"name": "look", "arguments": '{"at":"x"}'}}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "seen"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]},
    ]
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    record = payload(messages=messages, model_parameters={"tools": tools})

    found, _ = read(written(tmp_path, record))

    one = found[0]
    said = [json.loads(bytes(message.content)) for message in one.messages]
    assert json.loads(bytes(one.system)) == "be brief"
    assert [message.role for message in one.messages] == ["user", "assistant", "user", "assistant"]
    assert said[1] == [{"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "x"}}]
    assert [block["type"] for block in said[2]] == ["tool_result", "image"]
    assert json.loads(bytes(one.tools))[0]["name"] == "look"


def test_odd_records_are_counted_and_the_rest_is_read(tmp_path):
    path = written(tmp_path, payload("1"))
    path.write_bytes(path.read_bytes() + b'\n{"no":"log"}\nnot json\n[]\n')

    found, state = read(path)

    assert len(found) == 1
    assert (state.problems.count("foreign_record"), state.problems.count("malformed")) == (2, 1)


@pytest.mark.parametrize(
    "field", ["metadata", "messages", "response", "model_parameters", "startTime"]
)
@pytest.mark.parametrize("value", [None, 7, "text", [1, None], {"a": {"b": []}}])
def test_a_field_of_any_shape_is_survived(tmp_path, field, value):
    found, _ = read(written(tmp_path, payload() | {field: value}))

    assert len(found) == 1
