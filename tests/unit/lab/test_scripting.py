from __future__ import annotations

import json

import msgspec

from farthing.lab.emulator.script import Script
from farthing.lab.scripting import script_lines
from farthing.traces.format import Call, Conversation, Message


def message(role: str, content: object) -> Message:
    return Message(role=role, content=msgspec.Raw(json.dumps(content).encode()))


def usage(**counts: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(counts).encode())


THINKING = {"type": "thinking", "thinking": "t", "signature": ""}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RECORDED = Conversation(
    id="c#0",
    source="tau2-bench",
    messages=[
        message("user", "hi"),
        message("assistant", [THINKING, CALL]),
        message("user", [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]),
        message("assistant", "done"),
        message("user", "more"),
    ],
    calls=[
        Call(
            prompt_messages=1,
            stop_reason="tool_use",
            usage=usage(input_tokens=3, cache_read_input_tokens=4, output_tokens=5),
        ),
        Call(prompt_messages=2, synthetic=True),
        Call(prompt_messages=3),
        Call(prompt_messages=5),
    ],
)


def test_each_recorded_answer_is_a_line_under_its_conversation_and_turn():
    first, second = script_lines(RECORDED)

    assert (first["conversation"], first["turn"], first["stop_reason"]) == ("c#0", 0, "tool_use")
    assert (first["prompt_tokens"], first["output_tokens"]) == (7, 5)
    assert second == {"conversation": "c#0", "turn": 1, "content": "done"}


def test_thinking_without_a_signature_gets_one_from_the_emulator():
    first, _ = script_lines(RECORDED)

    assert first["content"] == [{"type": "thinking", "thinking": "t"}, CALL]


def test_output_counts_of_transcripts_are_left_to_the_emulator():
    recorded = msgspec.structs.replace(RECORDED, source="claude-code-entire")

    assert "output_tokens" not in next(script_lines(recorded))


def test_a_foreign_usage_is_left_out():
    calls = [Call(prompt_messages=1, usage=usage(input_tokens="many"))]
    recorded = msgspec.structs.replace(RECORDED, calls=calls)

    assert "prompt_tokens" not in next(script_lines(recorded))


def test_the_emulator_takes_every_line():
    assert Script(script_lines(RECORDED)) is not None
