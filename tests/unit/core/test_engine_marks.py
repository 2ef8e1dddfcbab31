"""Marks become proposals and edits; nothing that the API would refuse leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.cache_values import CacheChoice, CachePin, ChosenMark
from farthing.core.engine_marks import (
    MarkAsk,
    can_carry,
    marks_in_order,
    proposals,
    remarked,
)
from farthing.core.estimate import BlockMemo
from farthing.core.prefix import Mark, Ttl
from farthing.core.prefix_view import view_of
from farthing.core.prompt_cache import PromptCache
from farthing.pricing import catalog
from farthing.wire.apply import apply
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request
from farthing.wire.validity import check
from tests.unit.core.engine_cases import HOUR, MARK, MODEL, NOW, body, marks, text

_KNOWN = catalog().traits(MODEL)
assert _KNOWN is not None
TRAITS = _KNOWN
LEVERS = frozenset({"cache.marks", "cache.ttl"})


def ask(sent: bytes, chosen: dict[int, Ttl], levers: frozenset[str] = LEVERS) -> MarkAsk:
    card = catalog().find(MODEL, on=NOW)
    assert card is not None
    request = Request.parse(sent)
    view = view_of(request, fingerprint(request, TRAITS), TRAITS, memo=BlockMemo())
    found = tuple(
        ChosenMark(index=index, ttl=ttl, why="tail") for index, ttl in sorted(chosen.items())
    )
    choice = CacheChoice(marks=found, pin=CachePin(head=None, tail="5m"), is_epoch=False)
    return MarkAsk(
        request=request,
        view=view,
        choice=choice,
        levers=levers,
        cache=PromptCache(),
        card=card,
        now=NOW,
    )


def made(sent: bytes, chosen: dict[int, Ttl], levers: frozenset[str] = LEVERS) -> bytes:
    """All proposals taken."""
    asked = ask(sent, chosen, levers)
    view = asked.view
    for proposal in proposals(asked):
        view = proposal.shape(view)
    edits = remarked(asked)(view.marks)
    assert edits is not None
    return apply(asked.request, edits)


def test_added_marks_take_the_lifetime_that_the_clients_leave_them():
    sent = body(2, mark=HOUR)

    assert marks(made(sent, {2: "5m", 5: "1h"}, frozenset({"cache.marks"}))) == [
        ("system.0", HOUR),
        ("messages.2.0", HOUR),
    ]


def test_both_levers_together_make_the_choice():
    sent = body(2, mark=MARK)

    assert marks(made(sent, {1: "1h", 5: "1h"})) == [("tools.1", HOUR), ("messages.2.0", HOUR)]


def test_an_hour_is_taken_back_and_unknown_members_of_a_mark_stay():
    sent = body(1, mark={"type": "ephemeral", "ttl": "1h", "scope": "global"})

    assert marks(made(sent, {3: "5m"})) == [
        ("messages.0.0", {"type": "ephemeral", "scope": "global"})
    ]


def test_the_automatic_mark_keeps_its_place_and_gets_its_lifetime_on_top():
    sent = body(1, cache_control=MARK)

    assert marks(made(sent, {3: "1h"})) == [("top", HOUR)]


def test_an_automatic_mark_and_its_blocks_own_change_together():
    sent = body(1, mark=MARK, cache_control=MARK)

    assert marks(made(sent, {3: "1h"})) == [("top", HOUR), ("messages.0.0", HOUR)]


def test_a_mark_inside_a_tool_result_is_not_ours_to_rewrite():
    inner = [text("It is done. " * 200, cache_control=MARK)]
    said = [
        {"role": "user", "content": "Do it"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "read", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": inner}],
        },
    ]
    asked = ask(body(messages=said), {5: "1h"})

    assert proposals(asked) == ()
    assert remarked(asked)([Mark(index=5, ttl="1h")]) is None


@pytest.mark.parametrize("null", [{"cache_control": None}])
def test_automatic_caching_is_not_asked_for_where_the_client_has_thought_of_it(
    null: dict[str, Any],
):
    auto = frozenset({"cache.auto"})

    assert [each.lever for each in proposals(ask(body(1), {}, auto))] == ["cache.auto"]
    assert proposals(ask(body(1, **null), {}, auto)) == ()
    assert proposals(ask(body(1, mark=MARK), {3: "5m"}, auto)) == ()
    short = body(tools=[], system=[], messages=[{"role": "user", "content": "Hi"}])
    assert proposals(ask(short, {}, auto)) == ()
    empty = body(tools=[], system=[], messages=[{"role": "user", "content": []}])
    assert proposals(ask(empty, {}, auto)) == ()


def test_what_the_api_would_refuse_is_no_edit():
    asked = ask(body(4), {})
    five = [Mark(index=index) for index in (0, 1, 2, 3, 5)]
    late_hour = [Mark(index=1), Mark(index=2, ttl="1h")]

    assert remarked(asked)(five) is None
    assert remarked(asked)(late_hour) is None


def test_ours_stand_on_what_can_carry_them():
    said = [
        {"role": "user", "content": [text("Hi"), {"type": "text", "text": ""}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": "x"}]},
        {"role": "system", "content": [text("Be brief")]},
    ]
    tools = [
        {"name": "a", "input_schema": {}},
        {"name": "b", "input_schema": {}, "defer_loading": True},
    ]
    request = Request.parse(body(tools=tools, messages=said))

    kept = [can_carry(block) for block in request.blocks]
    assert kept == [True, False, True, True, False, False, False]
    assert remarked(ask(body(tools=tools, messages=said), {}))([Mark(index=1)]) is None


TTLS = st.sampled_from(["5m", "1h"])
SENT = st.builds(
    body,
    turns=st.integers(1, 4),
    mark=st.sampled_from([None, MARK, HOUR]),
)


@given(
    sent=SENT,
    chosen=st.dictionaries(st.integers(0, 3), TTLS, max_size=4),
    top=st.sampled_from([None, MARK, HOUR]),
    levers=st.sets(st.sampled_from(["cache.marks", "cache.ttl", "cache.auto"])),
)
def test_no_proposal_breaks_a_rule_that_the_client_keeps(
    sent: bytes, chosen: dict[int, Ttl], top: dict[str, str] | None, levers: set[str]
):
    if top is not None:
        sent = json.dumps(json.loads(sent) | {"cache_control": top}).encode()
    before = {found.code for found in check(Request.parse(sent), TRAITS)}
    asked = ask(sent, {}, frozenset(levers))
    clients: dict[int, Ttl] = {mark.index: mark.ttl for mark in asked.view.marks}
    wanted = marks_in_order([Mark(index=i, ttl=t) for i, t in ({**clients, **chosen}).items()])[:4]
    asked = ask(sent, {m.index: m.ttl for m in wanted} | clients, frozenset(levers))
    view = asked.view
    for proposal in proposals(asked):
        view = proposal.shape(view)

    edits = remarked(asked)(view.marks)

    if edits is not None:
        after = Request.parse(apply(asked.request, edits))
        assert {found.code for found in check(after, TRAITS)} <= before
        assert (
            view_of(
                after,
                fingerprint(after, TRAITS),
                TRAITS,
                memo=BlockMemo(),
            ).marks
            == view.marks
        )


def test_a_request_whose_lifetimes_the_api_refuses_is_not_mended_behind_the_clients_back():
    said = [{"role": "user", "content": [text("How?", cache_control=HOUR)]}]
    asked = ask(body(system=[text("Be kind.", cache_control=MARK)], messages=said), {1: "1h"})

    assert [mark.ttl for mark in asked.view.marks] == ["5m", "1h"]
    assert proposals(asked) == ()
