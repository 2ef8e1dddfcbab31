"""``cached`` marks at most four places, respects the client's marks, and never breaks a request."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.marking import Ttl, cached
from farthing.wire.request import Request
from tests.unit.core.talks import (
    assistant,
    call,
    request_of,
    result,
    talks,
    text,
    user,
    violations,
)

SHORT = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
marks = st.sampled_from([None, None, None, SHORT, {"type": "ephemeral", "ttl": "5m"}, HOUR])
ttls = st.sampled_from(["5m", "1h"])


def found(request: dict[str, Any]) -> dict[str, str]:
    """Address → lifetime of each mark."""
    parsed = Request.parse(json.dumps(request).encode())
    return {
        block.address: block.cache_control.ttl for block in parsed.blocks if block.cache_control
    }


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid request, marked here and there by its client."""
    request = request_of(draw(talks()))
    request["system"] = draw(st.sampled_from(["Be brief.", [text("a"), text("b")], []]))
    for name in ("tools", "system"):
        if isinstance(request[name], list):
            request[name] = [with_mark(block, draw(marks)) for block in request[name]]
    for message in request["messages"]:
        if isinstance(message["content"], list):
            blocks = message["content"]
            message["content"] = [
                block if block["type"] == "thinking" else with_mark(block, draw(marks))
                for block in blocks
            ]
    automatic = draw(marks)
    return request if automatic is None else request | {"cache_control": automatic}


def with_mark(block: dict[str, Any], mark: dict[str, str] | None) -> dict[str, Any]:
    return block if mark is None else {**block, "cache_control": mark}


valid_requests = requests().filter(lambda request: violations(request) == ())


@given(valid_requests, ttls)
def test_a_valid_request_stays_valid(request, ttl: Ttl):
    assert violations(cached(request, ttl=ttl)) == ()


@given(requests(), ttls)
def test_marking_twice_changes_nothing(request, ttl: Ttl):
    once = cached(request, ttl=ttl)

    assert cached(once, ttl=ttl) == once


@given(requests(), ttls)
def test_the_argument_is_untouched(request, ttl: Ttl):
    before = copy.deepcopy(request)

    cached(request, ttl=ttl)

    assert request == before


@given(valid_requests, ttls)
def test_the_clients_marks_stay_and_there_are_never_more_than_four(request, ttl: Ttl):
    before, after = found(request), found(cached(request, ttl=ttl))

    assert before.items() <= after.items()
    assert len(after) <= 4


TURNS = [
    user("Fix the bug."),
    assistant([text("Looking."), call("a"), call("b")]),
    user([result("a"), result("b")]),
]


def test_tools_system_previous_tail_and_current_tail_are_marked():
    request = request_of(TURNS, system="Be brief.")

    assert list(found(cached(request))) == [
        "tools.1",
        "system.0",
        "messages.0.content.0",
        "messages.2.content.1",
    ]


def test_the_tail_of_this_turn_is_the_previous_tail_of_the_next():
    longer = [*TURNS, assistant("Done."), user("Thanks.")]

    now, later = found(cached(request_of(TURNS))), found(cached(request_of(longer)))

    assert "messages.2.content.1" in now.keys() & later.keys()


def test_a_first_turn_has_no_previous_tail():
    assert list(found(cached(request_of(TURNS[:1])))) == ["tools.1", "messages.0.content.0"]


def test_what_is_said_is_not_changed():
    request = request_of(TURNS, system="Be brief.")

    new = cached(request)

    assert new["system"] == [{"type": "text", "text": "Be brief.", "cache_control": SHORT}]
    assert new["tools"][0] is request["tools"][0]
    assert new["messages"][1] is request["messages"][1]


@pytest.mark.parametrize(
    ("free", "added"),
    [
        (4, {"tools.1", "system.0", "messages.0.content.0", "messages.2.content.1"}),
        (3, {"system.0", "messages.0.content.0", "messages.2.content.1"}),
        (2, {"system.0", "messages.2.content.1"}),
        (1, {"messages.2.content.1"}),
        (0, set()),
    ],
)
def test_the_tail_comes_first_where_marks_are_scarce(free, added):
    answer = [text(str(n)) | {"cache_control": SHORT} for n in range(4 - free)]
    request = request_of([TURNS[0], assistant([*answer, call("a")]), TURNS[2]], system="Be brief.")
    request["messages"][2] = user([result("a"), text("?")])

    new = found(cached(request)).keys() - found(request).keys()

    assert new == added


@pytest.mark.parametrize("level", ["tools", "system"])
def test_a_level_that_has_a_mark_gets_no_other(level):
    request = request_of(TURNS[:1], system=[text("a"), text("b")])
    request[level] = [{**request[level][0], "cache_control": SHORT}, request[level][1]]

    assert f"{level}.1" not in found(cached(request))


def test_a_mark_inside_a_result_counts():
    marked = result("a", [text("x") | {"cache_control": SHORT}])
    request = request_of([TURNS[0], assistant([call("a")]), user([marked])])

    assert cached(request)["messages"][2] is request["messages"][2]


def test_the_automatic_mark_is_the_tails():
    request = request_of(TURNS, system="Be brief.", cache_control=SHORT)

    assert list(found(cached(request))) == ["tools.1", "system.0", "messages.0.content.0"]


def test_an_automatic_mark_without_a_tail_takes_a_mark_all_the_same():
    request = {"tools": [{"name": "a"}], "cache_control": SHORT}

    assert cached(request)["tools"] == [{"name": "a", "cache_control": SHORT}]


def test_before_an_hour_there_are_hours_only():
    request = request_of([user([text("a") | {"cache_control": HOUR}]), *TURNS[1:]])

    assert found(cached(request)) == {
        "tools.1": "1h",
        "messages.0.content.0": "1h",
        "messages.2.content.1": "5m",
    }


def test_after_five_minutes_there_are_no_hours():
    request = request_of([user([text("a") | {"cache_control": SHORT}]), *TURNS[1:]])

    assert found(cached(request, ttl="1h")) == {
        "tools.1": "1h",
        "messages.0.content.0": "5m",
        "messages.2.content.1": "5m",
    }


@pytest.mark.parametrize(
    ("content", "marked"),
    [
        ([text("a"), text("")], 0),
        ([text("a"), {"type": "thinking", "thinking": "", "signature": "s"}], 0),
        ([text("a"), {"type": "unheard_of"}], 0),
        ([text("a"), "not a block"], 0),
        ([text("a"), {"type": "image", "source": {}}], 1),
    ],
)
def test_the_last_block_that_can_carry_a_mark_is_marked(content, marked):
    new = cached({"messages": [user(content)]})["messages"][0]["content"]

    assert [i for i, block in enumerate(new) if "cache_control" in block] == [marked]


def test_an_empty_or_system_message_at_the_end_is_passed_over():
    messages = [user("a"), {"role": "system", "content": "b"}, user("")]

    assert found(cached({"messages": messages})) == {"messages.0.content.0": "5m"}


def test_a_deferred_tool_is_not_marked():
    tools = [{"name": "a"}, {"name": "b", "defer_loading": True}]

    assert cached({"tools": tools})["tools"][0] == {"name": "a", "cache_control": SHORT}


@pytest.mark.parametrize(
    "nothing", [{}, {"messages": []}, {"system": "", "tools": []}, {"tools": None}]
)
def test_nothing_to_mark_is_no_error(nothing):
    assert cached(nothing) == nothing


def test_messages_that_can_be_read_only_once_are_left_alone():
    messages = iter([user("a")])

    assert cached({"messages": messages})["messages"] is messages


def test_a_mark_that_is_none_is_the_apis_to_refuse():
    request = {"messages": [user([text("a") | {"cache_control": "yes"}])]}

    assert cached(request) == request
