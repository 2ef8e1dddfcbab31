"""Culprits: what changes near the top of prompts, by place and price, never by text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from farthing.pricing import catalog
from farthing.traces.audit.culprits import Culprits
from tests.unit.traces.recorded import START, call, conversation, raw

RULES = "You are careful. " * 2_000
SCHEMA = {"type": "object", "properties": {"a": {}, "b": {}}}
TOOLS = [{"name": "read", "input_schema": SCHEMA}, {"name": "write", "input_schema": SCHEMA}]


def talk(number: int, system: Any = RULES, tools: Any = TOOLS, **more: Any) -> Any:
    members: dict[str, Any] = {
        "id": f"c{number}#0",
        "model": "claude-opus-5-5",
        "project": "shop",
        "started_at": (START + timedelta(minutes=number)).isoformat(),
        "system": raw(system),
        "tools": raw(tools),
        **more,
    }
    return conversation([call(1, at=0.0)], [("user", f"question {number}")], **members)


def found(*conversations: Any) -> Culprits:
    culprits = Culprits(catalog())
    for each in conversations:
        culprits.add(each)
    return culprits


def names(culprits: Culprits) -> list[str]:
    return [culprit.name for culprit, _ in culprits.top()]


def test_prompts_that_share_their_head_have_no_culprit():
    culprits = found(talk(0), talk(1), talk(2))
    assert (culprits.compared, names(culprits)) == (2, [])


def test_a_time_in_the_system_prompt_is_named_and_priced():
    culprits = found(*(talk(n, f"It is 12:{n:02}.\n{RULES}") for n in range(10, 14)))
    ((culprit, share),) = culprits.top()
    assert culprit.name == "system: a timestamp changes"
    assert (culprit.group, share.times) == ("shop", 3)
    tokens = share.tokens / 3
    assert tokens > 6_000
    # 4 $/Mtok: written again at 1.25 of it instead of read at 0.05
    assert share.estimated_pico == pytest.approx(share.tokens * 4e6 * 1.20)


def test_the_report_holds_no_text():
    culprits = found(talk(0, f"{RULES} user: ada"), talk(1, f"{RULES} user: grace"))
    assert names(culprits) == ["system: a user_field changes"]
    assert "ada" not in repr(culprits.top())
    assert "grace" not in repr(culprits.top())


@pytest.mark.parametrize(
    ("second", "name"),
    [
        ({"tools": TOOLS[::-1]}, "tools.0: the same tools in another order"),
        (
            {"tools": [{"name": "read", "input_schema": dict(reversed(SCHEMA.items()))}, TOOLS[1]]},
            "tools.0: the same schema with its keys in another order",
        ),
        ({"tools": TOOLS[:1]}, "tools.1: something is removed"),
        ({"system": f"{RULES} More rules."}, "system: its text changes"),
        ({"model": "claude-opus-4-8"}, "tools.0: model changes"),
    ],
)
def test_each_kind_of_change_has_its_words(second, name):
    assert names(found(talk(0), talk(1, **second))) == [name]


def test_what_had_expired_anyway_is_nobodys_fault():
    culprits = found(talk(0), talk(59, f"12:30 {RULES}"), talk(119, f"12:31 {RULES}"))
    assert [share.times for _, share in culprits.top()] == [1]
    assert culprits.compared == 1


def test_without_times_the_worst_is_assumed():
    culprits = found(talk(0, started_at=None), talk(1, f"12:30 {RULES}", started_at=None))
    assert culprits.compared == 1


def test_projects_and_users_are_not_compared_with_one_another():
    other = f"12:30 {RULES}"
    culprits = found(talk(0), talk(1, other, project="b"), talk(2, other, user_key="u"))
    assert culprits.compared == 0


def test_a_difference_in_the_first_message_is_no_culprit():
    assert names(found(talk(0), talk(1))) == []


@pytest.mark.parametrize(
    "second",
    [
        {"system": "", "tools": []},
        {"model": "gpt-9"},
        {"tools_inferred": True},
        {"calls": []},
        {"tools": [1]},
    ],
)
def test_what_cannot_be_compared_is_left_out(second):
    calls = second.pop("calls", None)
    last = talk(1, **second)
    if calls is not None:
        last = conversation(calls, project="shop")
    assert found(talk(0), last).compared == 0
