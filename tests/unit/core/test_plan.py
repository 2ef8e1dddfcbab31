"""The planner: priced together, only a positive net, deterministic, never a 400."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.estimate import BlockMemo
from farthing.core.levers import LEVERS
from farthing.core.plan import Considered, PlanCase, Planned, Proposal, plan
from farthing.core.policy import InForce
from farthing.core.prefix import Mark, PrefixView
from farthing.core.prefix_view import view_of
from farthing.core.prompt_cache import PromptCache
from farthing.pricing import require_card, traits
from farthing.wire.edits import (
    InsertBlock,
    InsertMessage,
    RemoveBlock,
    RemoveField,
    SetField,
    SetTopLevel,
    mark,
)
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request
from tests.unit.core.prompts import T0, at

MODEL = "claude-opus-5-5"
TRAITS = traits(MODEL)
CARD = require_card(MODEL, on=T0.date())
LONG = "You are careful. " * 2_000
ALL = InForce(profile="safe", levers=frozenset(LEVERS))
MUCH = 1e18


def case(system: Any = LONG, **changes: Any) -> PlanCase:
    body = {
        "model": MODEL,
        "max_tokens": 100,
        "system": system,
        "messages": [{"role": "user", "content": "Hello."}],
    }
    request = Request.parse(json.dumps(body).encode())
    assert TRAITS is not None
    view = view_of(request, fingerprint(request, TRAITS), TRAITS, memo=BlockMemo())
    made = PlanCase(
        request=request,
        traits=TRAITS,
        view=view,
        cache=PromptCache(),
        card=CARD,
        now=at(0),
        in_force=ALL,
    )
    return replace(made, **changes)


def marked(view: PrefixView, ttl: Any = "5m") -> PrefixView:
    return replace(view, marks=(Mark(index=0, ttl=ttl),))


def marks(later: float = MUCH, **more: Any) -> Proposal:
    return Proposal(
        lever="cache.marks", edits=(mark("system"),), shape=marked, later_pico=later, **more
    )


def only(planned: Planned) -> Considered:
    (found,) = planned.considered
    return found


def test_without_proposals_the_body_is_the_clients_own():
    given_ = case()
    planned = plan(given_, [])
    assert planned.body is given_.request.body
    assert planned.plan.is_empty
    assert (planned.considered, planned.net_pico) == ((), 0.0)


def test_a_proposal_with_a_positive_net_is_made():
    planned = plan(case(), [marks()])
    assert b"cache_control" in planned.body
    assert planned.accepted == ("cache.marks",)
    assert planned.plan.reasons == ("+cache.marks",)
    assert planned.view.marks == (Mark(index=0),)
    assert planned.net_pico > 0


def test_a_write_that_nobody_is_expected_to_read_is_not_worth_it():
    planned = plan(case(), [marks(later=0.0)])
    assert only(planned).reason == "no_gain"
    assert only(planned).net_pico < 0
    assert planned.plan.reasons == ("-cache.marks:no_gain",)
    assert planned.plan.is_empty


def test_what_lies_in_the_cache_is_in_the_price():
    """The same proposal pays at once where its prefix was written a moment ago."""
    given_ = case()
    view = marked(given_.view)
    forecast = given_.cache.begin(view, at(-10))
    given_.cache.observe(view, forecast, began_at=at(-10), first_byte_at=at(-9))
    assert plan(given_, [marks(later=0.0)]).accepted == ("cache.marks",)


def test_a_repair_is_not_made_where_it_would_destroy_more_than_it_saves():
    """Warm content priced together with an edit of it: the loss of the cache is in the net."""
    given_ = case(view=marked(case().view))
    forecast = given_.cache.begin(given_.view, at(-10))
    given_.cache.observe(given_.view, forecast, began_at=at(-10), first_byte_at=at(-9))
    repair = Proposal(
        lever="repair.volatile_system",
        edits=(SetTopLevel("system", b'"x"'),),
        shape=lambda view: replace(view, digests=[b"other"] * len(view.digests)),
        later_pico=1e9,
    )
    assert only(plan(given_, [repair])).reason == "no_gain"
    assert plan(replace(given_, cache=PromptCache()), [repair]).accepted == (repair.lever,)


def test_of_two_that_exclude_each_other_the_better_is_taken():
    auto = Proposal(
        lever="cache.auto",
        edits=(SetTopLevel("cache_control", b'{"type":"ephemeral"}'),),
        shape=marked,
        later_pico=2 * MUCH,
        excludes=frozenset({"cache.marks"}),
    )
    planned = plan(case(), [marks(), auto])
    assert planned.accepted == ("cache.auto",)
    assert [each.reason for each in planned.considered] == ["accepted", "conflict"]


def test_two_that_pay_only_together_are_taken_together():
    """Each alone would destroy what is warm; the second destroys nothing more."""
    given_ = case(view=marked(case().view))
    forecast = given_.cache.begin(given_.view, at(-10))
    given_.cache.observe(given_.view, forecast, began_at=at(-10), first_byte_at=at(-9))

    def lost(view: PrefixView) -> PrefixView:
        return replace(view, digests=[b"other"] * len(view.digests))

    alone = Proposal(lever="repair.tools_order", shape=lost)
    loss = -only(plan(given_, [alone])).net_pico
    both = [
        Proposal(lever=lever, shape=lost, later_pico=0.6 * loss)
        for lever in ("repair.tools_order", "repair.schema_keys")
    ]
    assert plan(given_, both[:1]).accepted == ()
    planned = plan(given_, both)
    assert planned.accepted == ("repair.tools_order", "repair.schema_keys")
    assert planned.net_pico == pytest.approx(0.2 * loss)


def many(*worths: float) -> list[Proposal]:
    levers = [
        "repair.tools_order",
        "repair.schema_keys",
        "cache.auto",
        "cache.ttl",
        "cache.diagnostics",
        "cache.fanout",
    ]
    return [
        Proposal(lever=lever, later_pico=worth)
        for lever, worth in zip(levers, worths, strict=False)
    ]


def test_many_proposals_are_taken_one_by_one():
    planned = plan(case(), many(1, -1, 2, 0, 3, -2))
    assert planned.accepted == ("repair.tools_order", "cache.auto", "cache.diagnostics")
    assert planned.net_pico == pytest.approx(6)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=6), st.randoms())
def test_the_order_in_which_levers_speak_does_not_matter_and_no_net_is_left(worths, random):
    proposals = many(*map(float, worths))
    planned = plan(case("short"), proposals)
    random.shuffle(proposals)
    assert plan(case("short"), proposals) == planned
    assert planned.net_pico == pytest.approx(sum(worth for worth in worths if worth > 0))


def test_observe_plans_and_changes_nothing():
    given_ = case(in_force=InForce(profile="observe", levers=frozenset(LEVERS)))
    planned = plan(given_, [marks()])
    assert planned.body == given_.request.body
    assert planned.view == given_.view
    assert planned.accepted == ("cache.marks",)
    assert planned.plan.reasons == ("~cache.marks",)
    assert planned.plan.is_empty


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"in_force": InForce(profile="safe", levers=frozenset())}, "not_in_force"),
        ({"governed_off": {"cache.marks"}}, "governed_off"),
        ({"card": None}, "unpriced"),
    ],
)
def test_what_may_not_act_is_declined_before_it_is_priced(changes, reason):
    assert only(plan(case(**changes), [marks()])).reason == reason


@pytest.mark.parametrize(
    "edit",
    [
        SetTopLevel("system", b'"x"'),
        SetTopLevel("tools", b"[]"),
        InsertMessage(0, b"{}"),
        RemoveBlock("messages.0.content.0"),
        InsertBlock("tools.0", b"{}"),
        RemoveField("system.0", "text"),
        SetField("messages.0.content.0", "text", b'"x"'),
        SetTopLevel("metadata", b"{}"),
    ],
)
def test_a_lever_that_touches_what_it_may_not_is_declined(edit):
    assert only(plan(case(), [replace(marks(), edits=(edit,))])).reason == "out_of_bounds"


def test_what_is_not_rendered_may_be_asked_for():
    ask = Proposal(
        lever="cache.diagnostics",
        edits=(SetTopLevel("diagnostics", b'{"previous_message_id":null}'),),
        later_pico=1.0,
    )
    assert plan(case(), [ask]).accepted == ("cache.diagnostics",)


def test_a_lifetime_is_set_where_a_mark_stands():
    ttl = Proposal(lever="cache.ttl", edits=(mark("system", "1h"),), later_pico=MUCH)
    assert b'"ttl":"1h"' in plan(case(), [ttl]).body


@pytest.mark.parametrize(
    "edits",
    [
        (mark("system"), mark("system", "1h")),
        (mark("messages.7.content"),),
        (mark("system", "2h"),),
    ],
)
def test_a_plan_that_the_api_would_refuse_is_not_made(edits):
    given_ = case()
    planned = plan(given_, [replace(marks(), edits=edits)])
    assert only(planned).reason == "invalid"
    assert planned.body is given_.request.body


def test_an_edit_of_content_is_tried_against_all_rules():
    bad = Proposal(
        lever="repair.volatile_system",
        edits=(InsertMessage(0, b'{"role":"system","content":"x"}'),),
        later_pico=MUCH,
    )
    assert only(plan(case(), [bad])).reason == "invalid"


def test_a_request_that_was_wrong_before_may_still_be_planned():
    """What the client would have been refused for anyway is not our doing."""
    blocks = [
        {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    fanout = Proposal(
        lever="cache.diagnostics",
        edits=(SetTopLevel("diagnostics", b'{"previous_message_id":null}'),),
        later_pico=1.0,
    )
    assert plan(case(blocks), [fanout]).accepted == ("cache.diagnostics",)


def test_marks_said_by_a_shape_alone_are_written_by_the_case_or_refused_by_it():
    proposal = Proposal(lever="cache.marks", shape=marked, later_pico=MUCH)

    written = plan(case(remark=lambda _: [mark("system")]), [proposal])
    refused = plan(case(remark=lambda _: None), [proposal])

    assert b"cache_control" in written.body
    assert [lever for lever, _ in written.steps(case().view)] == ["cache.marks"]
    assert only(refused).reason == "invalid"
    assert refused.body == case().request.body
