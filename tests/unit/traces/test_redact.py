"""A trace without what was said, and with everything that a replay needs."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.traces.redact import Redactor
from tests.unit.traces.recorded import call, conversation, raw, text, tool_result, tool_use, usage

SECRET = "the launch code is 1234-TANGO"

EXAMPLE = conversation(
    [call(1, usage(read=5, output=1), request_id="req_1", message_id="msg_1")],
    [
        ("user", SECRET),
        ("assistant", [text(SECRET), tool_use("toolu_1", "Read", file_path=f"/home/{SECRET}")]),
        ("user", [tool_result("toolu_1", [text(SECRET)])]),
        (
            "user",
            [
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": SECRET},
                }
            ],
        ),
    ],
    system=raw([text(SECRET)]),
    tools=raw(
        [{"name": "Read", "description": SECRET, "input_schema": {"properties": {"file_path": {}}}}]
    ),
    parameters=raw({"max_tokens": 100, "metadata": {"user_id": SECRET}}),
    project=SECRET,
    session_id=SECRET,
    user_key=SECRET,
    meta=raw({"note": SECRET}),
    id=f"claude-code/{SECRET}#2",
)


@pytest.mark.parametrize("mode", ["filler", "digest"])
def test_nothing_that_was_said_is_left(mode):
    written = msgspec.json.encode(Redactor(b"key", mode).redact(EXAMPLE)).decode()

    assert [word for word in ("launch", "TANGO", "1234") if word in written] == []


def test_what_a_replay_needs_is_left():
    found = Redactor(b"key").redact(EXAMPLE)

    answer = json.loads(bytes(found.messages[1].content))
    assert answer[1]["name"] == "Read"
    assert answer[1]["id"] == "toolu_1"
    assert list(answer[1]["input"]) == ["file_path"]
    assert bytes(found.calls[0].usage) == bytes(EXAMPLE.calls[0].usage)
    assert found.started_at == EXAMPLE.started_at
    assert json.loads(bytes(found.parameters)) == {"max_tokens": 100}
    assert json.loads(bytes(found.tools))[0]["name"] == "Read"
    assert found.id.endswith("#2")
    assert bytes(found.meta) == b""


@given(st.text(max_size=200), st.text(max_size=200))
def test_filler_has_the_length_of_the_text_and_equal_only_if_the_texts_are(one, other):
    redactor = Redactor(b"key")

    assert len(redactor.text(one)) == len(one)
    if len(one) >= 12 or one == other:
        assert (redactor.text(one) == redactor.text(other)) == (one == other)


def test_another_key_gives_other_stand_ins():
    assert Redactor(b"one").text(SECRET) != Redactor(b"two").text(SECRET)


def test_a_digest_says_how_long_the_text_was():
    assert Redactor(b"key", "digest").text("x" * 500).endswith(" 500 characters]")


def test_names_of_arguments_that_are_no_identifiers_are_replaced():
    odd = conversation([], [("assistant", [tool_use("t", "Read", **{f"{SECRET}@x": 7})])])

    written = bytes(Redactor(b"key").redact(odd).messages[0].content)

    assert b"TANGO" not in written


def test_numbers_keep_their_length_only():
    numbers = conversation([], [("assistant", [tool_use("t", "Pay", card=4111, on=True, at=None)])])

    written = json.loads(bytes(Redactor(b"key").redact(numbers).messages[0].content))

    assert written[0]["input"] == {"card": 1111, "on": True, "at": None}


def test_a_type_that_is_a_sentence_is_not_kept():
    odd = conversation([], [("user", [{"type": "text", "text": "x", "name": SECRET}])])

    assert b"TANGO" not in bytes(Redactor(b"key").redact(odd).messages[0].content)
