from __future__ import annotations

import json
from typing import Any

import pytest

from farthing.core.attribution import attribute, head_digest, key_scope
from farthing.core.records import Attribution
from farthing.wire.request import Request

KEY = b"k" * 32
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CODE = {"x-claude-code-session-id": "s1"}


def request(**fields: Any) -> Request:
    said = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return Request.parse(json.dumps(said | fields).encode())


def who(headers: dict[str, str], asked: Request | None = None) -> Attribution:
    return attribute(headers, asked, install_key=KEY)


def test_our_own_headers_come_first():
    found = who(
        CODE
        | {
            "x-farthing-task": "t1",
            "x-farthing-parent": "t0",
            "x-farthing-task-type": "review",
            "x-claude-code-agent-id": "a1",
        }
    )

    assert (found.task_id, found.parent_task_id, found.root_task_id) == ("t1", "t0", "t0")
    assert (found.task_type, found.source) == ("review", "header")
    assert (found.session_id, found.agent_id) == ("s1", "a1")


def test_a_client_may_say_what_the_root_of_a_deep_task_is():
    found = who({"x-farthing-task": "t2", "x-farthing-parent": "t1", "x-farthing-root": "t0"})

    assert (found.parent_task_id, found.root_task_id) == ("t1", "t0")


def test_a_task_without_a_parent_is_its_own_root():
    assert who({"x-farthing-task": "t1"}).root_task_id == "t1"


def test_a_claude_code_session_is_a_task():
    found = who(CODE)

    assert (found.task_id, found.root_task_id, found.parent_task_id) == ("s1", "s1", None)
    assert found.source == "claude-code"


def test_a_subagent_is_a_task_below_its_caller():
    agent = CODE | {"x-claude-code-agent-id": "a1"}
    inner = agent | {"x-claude-code-agent-id": "a2", "x-claude-code-parent-agent-id": "a1"}

    assert (who(agent).task_id, who(agent).parent_task_id) == ("s1/a1", "s1")
    assert (who(inner).task_id, who(inner).parent_task_id) == ("s1/a2", "s1/a1")
    assert who(inner).root_task_id == "s1"


@pytest.mark.parametrize(
    "user_id",
    ['{"device_id":"d","session_id":"s2"}', "user_ab_account_cd_session_s2"],
)
def test_a_session_in_the_metadata_is_a_task(user_id: str):
    found = who({}, request(metadata={"user_id": user_id}))

    assert (found.task_id, found.session_id, found.source) == ("s2", "s2", "metadata")


@pytest.mark.parametrize(
    "metadata",
    [{"user_id": "u-17"}, {"user_id": "{no json"}, {"user_id": 7}, {}, {"user_id": "{}"}],
)
def test_other_metadata_is_no_session(metadata: dict[str, Any]):
    assert who({}, request(metadata=metadata)).source == "lineage"


def test_a_trace_is_a_task():
    found = who({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})

    assert (found.task_id, found.source) == (f"trace:{TRACE}", "traceparent")


def test_baggage_names_the_task_of_a_trace():
    found = who(
        {
            "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            "baggage": "a=b;p=1, farthing.task = t9 ;x, farthing.task_type=triage,broken",
        }
    )

    assert (found.task_id, found.task_type) == ("t9", "triage")


def test_baggage_is_percent_encoded():
    found = who(
        {
            "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
            "baggage": "farthing.task=my%20t%C3%A9che%2C%201%0A,farthing.task_type=a%2Fb",
        }
    )

    assert (found.task_id, found.task_type) == ("my téche, 1", "a/b")


@pytest.mark.parametrize(("text", "task"), [("50%", "50%"), ("%zz%41", "%zzA"), ("%ff", "\ufffd")])
def test_baggage_that_is_badly_encoded_still_names_a_task(text: str, task: str):
    found = who(
        {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "baggage": f"farthing.task={text}"}
    )

    assert found.task_id == task


@pytest.mark.parametrize("text", ["", "junk", f"00-{'0' * 32}-00f067aa0ba902b7-01"])
def test_what_is_no_trace_is_a_lineage(text: str):
    assert who({"traceparent": text}, request()).source == "lineage"


def test_a_lineage_is_the_conversations_head():
    one = request(system="You are.")
    later = request(
        system="You are.",
        messages=[
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "more"},
        ],
    )

    assert who({}, one).task_id == who({}, later).task_id
    assert who({}, one).task_id != who({}, request()).task_id
    assert who({}, one).task_id != who({"x-api-key": "other"}, one).task_id


def test_moving_marks_do_not_make_another_lineage():
    marked = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]
    bare = [{"type": "text", "text": "hi"}]

    assert head_digest(
        request(messages=[{"role": "user", "content": marked}]), "s", KEY
    ) == head_digest(request(messages=[{"role": "user", "content": bare}]), "s", KEY)


@pytest.mark.parametrize(
    "body", [b'{"messages":[7]}', b'{"messages":7}', b'{"system":[1]}', b"{}", b'{"messages":[]}']
)
def test_a_strange_head_still_has_a_digest(body: bytes):
    assert len(head_digest(Request.parse(body), "s", KEY)) == 32


def test_the_credential_is_not_in_what_rests():
    headers = {"x-api-key": "sk-ant-secret", "authorization": "Bearer sk-ant-secret"}

    assert "secret" not in repr(who(headers, request()))


def test_a_key_is_one_scope_however_it_is_sent():
    """SDK 2 sends it as a bearer, older clients as ``x-api-key``, some both (API facts 4.6)."""
    as_header = key_scope({"x-api-key": "sk-1"}, KEY)

    assert key_scope({"authorization": "Bearer sk-1"}, KEY) == as_header
    assert key_scope({"x-api-key": "sk-1", "authorization": "Bearer sk-1"}, KEY) == as_header
    assert key_scope({"x-api-key": "sk-1", "x-farthing-key": "team"}, KEY) != as_header
    assert key_scope({"x-api-key": "sk-1"}, b"other key") != as_header


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200)])
def test_names_are_cut_and_cleaned(length: int, kept: int):
    assert who({"x-farthing-task": "t" * length}).task_id == "t" * kept
    assert who({"x-farthing-task": " a\x00\x1b[31mb\n"}).task_id == "a[31mb"
    assert who({"x-farthing-task": " \t "}).source == "lineage"


@pytest.mark.parametrize("name", ["x-farthing-task", "x-farthing-task-type", "x-farthing-parent"])
def test_a_key_in_the_wrong_place_is_no_name(name: str):
    secret = "sk-ant-api03-SECRETSECRET"

    found = who({"x-farthing-task": "t1"} | {name: f"of {secret}"})

    assert "SECRET" not in repr(found)
    assert "of [key]" in repr(found)


def test_a_task_may_be_called_a_task():
    assert who({"x-farthing-task": "task-classify-tickets"}).task_id == "task-classify-tickets"


def test_a_session_without_a_name_is_none():
    assert who({"x-claude-code-session-id": " "}).source == "lineage"
