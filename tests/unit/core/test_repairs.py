"""Equivalent repairs: functions of the request, valid or not made, the same on every turn."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.pins import RepairChoice
from farthing.core.repairs import Repaired, repair
from farthing.pricing import traits
from farthing.wire.fingerprint import fingerprint
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.validity import check
from tests.unit.core.talks import request_of, talks

NEW, OLD = "claude-opus-5-5", "claude-sonnet-4-5"
ORDER = RepairChoice(lever="repair.tools_order")
KEYS = RepairChoice(lever="repair.schema_keys")
HEAD = RepairChoice(lever="repair.volatile_system", place="head")
TAIL = RepairChoice(lever="repair.volatile_system", place="tail")
MARK = {"cache_control": {"type": "ephemeral"}}


def known(model: str) -> ModelTraits:
    found = traits(model)
    assert found is not None
    return found


def repaired(body: dict[str, Any], *choices: RepairChoice, indent: int | None = None) -> Repaired:
    request = Request.parse(json.dumps(body, indent=indent).encode())
    return repair(request, known(body["model"]), choices)


def after(body: dict[str, Any], *choices: RepairChoice) -> dict[str, Any]:
    found = repaired(body, *choices)
    assert found.declined == ()
    result: dict[str, Any] = json.loads(found.request.body)
    return result


def body(model: str = NEW, system: Any = "Be careful.", **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 100,
        "system": system,
        "messages": [{"role": "user", "content": "Hello."}],
        **more,
    }


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}, **more}


def names(found: dict[str, Any]) -> list[str]:
    return [each["name"] for each in found["tools"]]


# -- tools ----------------------------------------------------------------------------------------


def test_tools_are_sorted_by_name_and_nothing_else_changes():
    before = body(tools=[tool("write"), tool("read"), tool("grep")])
    found = after(before, ORDER)
    assert names(found) == ["grep", "read", "write"]
    assert {**found, "tools": 0} == {**before, "tools": 0}


def test_whatever_the_order_they_came_in_they_leave_in_one():
    tools = [tool(name) for name in "abcdef"]
    bodies = set()
    for seed in range(10):
        random.Random(seed).shuffle(tools)
        bodies.add(repaired(body(tools=tools), ORDER).request.body)
    assert len(bodies) == 1


def test_a_mark_stays_at_its_position_and_not_with_its_tool():
    found = after(body(tools=[tool("b", **MARK), tool("c"), tool("a", **MARK)]), ORDER)
    assert names(found) == ["a", "b", "c"]
    assert ["cache_control" in each for each in found["tools"]] == [True, False, True]


def test_deferred_tools_come_last_so_that_no_mark_falls_on_them():
    late = tool("a", defer_loading=True)
    found = repaired(body(tools=[tool("z"), late, tool("b", **MARK)]), ORDER)
    assert found.declined == ("repair.tools_order:invalid",)
    found = repaired(body(tools=[late, tool("z", **MARK), tool("b")]), ORDER)
    assert json.loads(found.request.body)["tools"][1] == {**tool("z"), **MARK}


def test_tools_in_order_are_left_byte_for_byte():
    request = Request.parse(json.dumps(body(tools=[tool("a"), tool("b")])).encode())
    found = repair(request, known(NEW), [ORDER, KEYS])
    assert found.request is request
    assert found.declined == (
        "repair.tools_order:nothing_to_do",
        "repair.schema_keys:nothing_to_do",
    )


def test_schema_keys_are_sorted_and_other_keys_are_not():
    shuffled = {"type": "object", "properties": {"b": {"type": "string"}, "a": {}}}
    request = body(tools=[{"name": "x", "input_schema": shuffled, "description": "d"}, tool("y")])
    found = repaired(request, KEYS)
    text = found.request.body.decode()
    assert '"input_schema": {"properties":{"a":{},"b":{"type":"string"}},"type":"object"}' in text
    assert text.startswith('{"model": "claude-opus-5-5"')
    assert found.applied == ("repair.schema_keys",)


def test_whitespace_in_a_schema_is_no_reason_to_touch_it():
    request = body(tools=[tool("y"), {"type": "web_search_20250305", "name": "web_search"}])
    assert repaired(request, KEYS, indent=3).applied == ()


def test_a_schema_with_a_key_twice_is_left_alone():
    raw = json.dumps(body(tools=[tool("a")])).replace('"type": "object"', '"type": 1, "type": 2')
    found = repair(Request.parse(raw.encode()), known(NEW), [KEYS])
    assert found.declined == ("repair.schema_keys:unreadable",)
    assert found.request.body == raw.encode()


def test_repairs_are_made_one_after_the_other():
    request = body(tools=[tool("b"), {"name": "a", "input_schema": {"type": "object", "a": {}}}])
    found = repaired(request, ORDER, KEYS)
    assert found.applied == ("repair.tools_order", "repair.schema_keys")
    assert names(json.loads(found.request.body)) == ["a", "b"]


# -- volatile lines -------------------------------------------------------------------------------

SYSTEM = "You are careful.\nToday is 2026-11-21.\nUse tools.\nUser: ada\n"


def test_volatile_lines_become_a_system_message_behind_the_first_turn():
    found = after(body(system=SYSTEM), HEAD)
    assert found["system"] == "You are careful.\nUse tools.\n"
    assert found["messages"] == [
        {"role": "user", "content": "Hello."},
        {
            "role": "system",
            "content": [{"type": "text", "text": "Today is 2026-11-21.\nUser: ada"}],
        },
    ]


def conversation(turns: int, system: str = SYSTEM) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Hello."}, {"role": "user", "content": "You there?"}]
    for turn in range(turns):
        messages += [
            {"role": "assistant", "content": f"answer {turn}"},
            {"role": "user", "content": f"question {turn}"},
        ]
    return body(system=system, messages=messages)


def test_on_the_next_turn_the_repaired_request_goes_on_where_it_was():
    """So what was cached is read, and thinking that is bound to its prefix survives."""
    requests = [repaired(conversation(turns), HEAD).request for turns in range(4)]
    digests = [fingerprint(request, known(NEW)).digests for request in requests]
    for earlier, later in pairwise(digests):
        assert later[: len(earlier)] == earlier


def test_two_users_share_the_repaired_system_prompt():
    one, other = (
        fingerprint(repaired(conversation(1, system), HEAD).request, known(NEW)).digests
        for system in (SYSTEM, SYSTEM.replace("ada", "grace"))
    )
    assert one[0] == other[0]


def test_where_system_messages_are_unknown_the_lines_become_the_users():
    found = after(body(OLD, SYSTEM), HEAD)
    assert found["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hello."},
                {"type": "text", "text": "Today is 2026-11-21.\nUser: ada"},
            ],
        }
    ]


def test_lines_that_change_on_every_turn_go_to_the_end():
    request = {**conversation(1), "model": "claude-opus-4-8"}
    assert after(request, TAIL)["messages"][-1]["role"] == "system"
    assert after({**request, "model": OLD}, TAIL)["messages"][-1]["content"][-1] == {
        "type": "text",
        "text": "Today is 2026-11-21.\nUser: ada",
    }


def test_where_thinking_is_bound_nothing_moves_from_turn_to_turn():
    assert repaired(conversation(1), TAIL).declined == ("repair.volatile_system:thinking_is_bound",)


def test_a_whole_block_that_is_volatile_goes():
    blocks = [{"type": "text", "text": "Rules."}, {"type": "text", "text": "Now: 12:30:00"}]
    assert after(body(system=blocks), HEAD)["system"] == blocks[:1]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (body(system="Rules."), "nothing_to_do"),
        (body(system="Now: 12:30:00"), "nothing_stays"),
        (body(system=[{"type": "text", "text": "Now: 12:30:00"}]), "nothing_stays"),
        (
            body(
                system=[{"type": "text", "text": "A."}, {"type": "text", "text": "12:30", **MARK}]
            ),
            "client_mark",
        ),
        (body(system=SYSTEM, messages=[]), "no_place"),
        (
            body(
                OLD,
                SYSTEM,
                messages=[
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}],
                    }
                ],
            ),
            "tool_results",
        ),
    ],
)
def test_what_does_not_fit_is_declined_with_a_reason(request_, reason):
    found = repaired(request_, HEAD)
    assert found.declined == (f"repair.volatile_system:{reason}",)
    assert found.applied == ()


def test_the_clients_own_attribution_line_stays_where_it_is():
    line = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; at=2026-11-21;"}
    found = after(body(system=[line, {"type": "text", "text": SYSTEM}]), HEAD)
    assert found["system"][0] == line


@given(talks(), st.sampled_from([NEW, OLD, "claude-opus-4-8"]), st.sampled_from([HEAD, TAIL]))
def test_no_repair_makes_a_request_that_the_api_would_refuse(messages, model, choice):
    asked = {
        **request_of(messages),
        "model": model,
        "system": SYSTEM,
        "tools": [
            tool("write", **MARK),
            tool("read"),
            {"type": "web_search_20250305", "name": "w"},
        ],
    }
    before = deepcopy(asked)
    request = Request.parse(json.dumps(asked).encode())
    found = repair(request, known(model), [ORDER, KEYS, choice])
    allowed = {violation.code for violation in check(request, known(model))}
    assert {each.code for each in check(found.request, known(model))} <= allowed
    assert repair(request, known(model), [ORDER, KEYS, choice]).request.body == found.request.body
    assert asked == before
