"""The trace format, frozen."""

from __future__ import annotations

import hashlib

import msgspec

from farthing.traces.format import (
    ABSENT,
    VERSION,
    Call,
    Conversation,
    Header,
    Message,
    Outcome,
    format_digest,
    is_billed,
    is_given,
)
from tests.unit.traces.recorded import raw

#: A trace that was written once must be readable for ever. If this test fails, the format changed:
#: give it a new version number and a reader for the old one, do not edit the digest.
VERSION_1 = "986d7c8e831bf3faa58b845f4cb2a26f86f67a7e4e907cf3e3e4033362d574f6"

GOLDEN = (
    b'{"id":"a/b#1","source":"claude-code","model":"claude-opus-4-8","task_type":"coding-agent",'
    b'"started_at":"2026-10-10T09:00:00+00:00","system":"be brief","tools":[{"name":"Read"}],'
    b'"parameters":{"max_tokens":10},"messages":[{"role":"user","content":"hi"},'
    b'{"role":"assistant","content":[{"type":"text","text":"ho"}]}],'
    b'"calls":[{"prompt_messages":1,"model":"claude-opus-4-8","usage":{"input_tokens":1},'
    b'"at":0.5,"done_at":2.0,"request_id":"req_1","message_id":"msg_1","stop_reason":"end_turn",'
    b'"replayed":true,"late_output_tokens":7,"synthetic":true,"streamed":false}],'
    b'"session_id":"b","agent_id":"x","parent_tool_use_id":"toolu_1","project":"/w",'
    b'"client_version":"2.1.300","user_key":"u","segment":"after-compaction","ended_by":"end",'
    b'"prefix_pad_tokens":40000,"ttl":"1h","markers":["system.-1"],"tools_inferred":true,'
    b'"interactive":true,"outcome":{"reward":1.0,"status":"passed"},"meta":{"any":["thing"]}}'
)


def test_version_1_of_the_format_is_frozen():
    assert VERSION == 1
    assert format_digest() == VERSION_1


def test_a_line_with_every_field_reads_and_writes_to_the_same_bytes():
    found = msgspec.json.decode(GOLDEN, type=Conversation)

    assert msgspec.json.encode(found) == GOLDEN
    assert hashlib.sha256(GOLDEN).hexdigest()[:16] == "d474f3b4f198b4d9"


def test_what_is_not_known_is_not_written():
    found = Conversation(id="a", source="s", calls=[Call(prompt_messages=1)])

    written = b'{"id":"a","source":"s","calls":[{"prompt_messages":1}]}'
    assert msgspec.json.encode(found) == written


def test_what_is_not_written_comes_back_as_not_known():
    found = msgspec.json.decode(
        b'{"id":"a","source":"s","calls":[{"prompt_messages":1}]}', type=Conversation
    )

    assert found.calls[0].usage is ABSENT
    assert found.meta is ABSENT
    assert bytes(found.system) == b'""'


def test_unknown_fields_are_left_alone():
    line = b'{"id":"a","source":"s","from_the_future":{"x":1}}'

    assert msgspec.json.decode(line, type=Conversation).id == "a"


def test_stretches_of_one_history_share_their_thread():
    first, second = (Conversation(id=f"a/b#{n}", source="s") for n in (0, 1))

    assert first.thread_id == second.thread_id == "a/b"


def test_an_id_without_a_stretch_number_is_its_own_thread():
    assert Conversation(id="a", source="s").thread_id == "a"


def test_replayed_and_synthetic_calls_are_not_billed():
    assert is_billed(Call(prompt_messages=1))
    assert not is_billed(Call(prompt_messages=1, replayed=True))
    assert not is_billed(Call(prompt_messages=1, synthetic=True))


def test_null_and_nothing_are_not_given():
    assert not is_given(ABSENT)
    assert not is_given(raw(None))
    assert is_given(raw({}))


def test_a_header_names_format_and_version():
    assert msgspec.json.encode(Header(writer="w")) == (
        b'{"format":"farthing-trace","version":1,"writer":"w","redaction":"none"}'
    )


def test_an_outcome_and_a_message_are_plain_objects():
    assert msgspec.json.encode(Outcome()) == b"{}"
    assert msgspec.json.encode(Message(role="user", content=raw("x"))) == (
        b'{"role":"user","content":"x"}'
    )
