"""Before a refusal: how a call is made to fit, step by step, and what is sent then."""

from __future__ import annotations

import json
from typing import Any

from farthing.core.budgets import Step
from farthing.core.exchange_budget import fitted
from farthing.core.exchange_plan import Plan
from farthing.core.exchange_prepare import prepare
from farthing.pricing import price
from farthing.wire.request import Request
from farthing.wire.usage import Usage
from tests.unit.core.test_exchange_budget import CARD, budget, ended, talk, worst
from tests.unit.driver.talks import (
    EVENTS,
    MODEL,
    FakeUpstream,
    Talk,
    body,
    call,
    message,
    stream,
)

# -- the ladder -----------------------------------------------------------------------------------


def laddered(*steps: Step, room: int, **given: Any) -> Talk:
    return talk(budget(limit_pico=room, ladder=steps, min_tokens=20, **given))


def test_less_max_tokens_are_sent_instead_of_a_refusal():
    room = worst(30)
    one, upstream = laddered("max_tokens", room=room), FakeUpstream([message()])

    seen = one.run(call(), upstream)

    assert seen.status == 200
    assert upstream.sent == [body().replace(b'"max_tokens": 50', b'"max_tokens": 30')]
    assert "budget.clamped" in ended(one.row()).notes
    assert (one.row().opened.hold_pico or 0) <= room


def test_a_stream_ends_at_the_lowered_max_tokens_and_its_interval_too():
    room = worst(30)
    one = laddered("max_tokens", room=room)

    one.run(call(body(stream=True)), FakeUpstream(stream()[:2], headers=EVENTS))

    assert ended(one.row()).state == "unsettled"
    known = price(Usage(uncached=100, output=30), CARD).total * 11 // 10
    assert (ended(one.row()).high_pico or 0) <= known + 1


def test_less_than_is_useful_is_refused():
    assert laddered("max_tokens", room=worst(19)).run(call(), FakeUpstream()).status == 402


def test_a_call_told_to_come_to_an_end_may_be_shorter():
    one = talk(budget(limit_pico=worst(400), ladder=("max_tokens", "note"), min_tokens=600))
    upstream = FakeUpstream([message()])

    seen = one.run(call(body(max_tokens=1_000)), upstream)

    assert seen.status == 200
    sent = json.loads(upstream.sent[0])
    assert "budget of this work is nearly spent" in sent["messages"][-1]["content"][-1]["text"]
    assert 256 <= sent["max_tokens"] < 400
    assert "budget.noted" in ended(one.row()).notes


def test_where_no_note_can_stand_the_call_is_refused():
    one = talk(budget(limit_pico=worst(400), ladder=("note",), min_tokens=600))
    prefilled = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A"}]

    seen = one.run(call(body(max_tokens=1_000, messages=prefilled)), FakeUpstream())

    assert seen.status == 402


def test_the_ports_of_routing_are_asked_and_nobody_answers():
    assert laddered("effort", "model", room=worst(30)).run(call(), FakeUpstream()).status == 402


def test_a_cheaper_model_is_sent_where_somebody_knows_one():
    def cheaper(step: Step, request: Request, room_pico: int) -> bytes | None:
        assert room_pico == worst(30)
        return request.body.replace(MODEL.encode(), b"claude-haiku-5-5")

    one, upstream = laddered("model", room=worst(30)), FakeUpstream([message()])
    one.setup.board.cheaper = cheaper

    assert one.run(call(), upstream).status == 200
    assert upstream.sent == [body(model="claude-haiku-5-5")]
    assert "budget.model" in ended(one.row()).notes


def test_a_cheaper_model_without_a_price_helps_nobody():
    one = laddered("model", room=worst(30))
    one.setup.board.cheaper = lambda step, request, room: request.body.replace(b"opus", b"what")

    assert one.run(call(), FakeUpstream()).status == 402


def test_what_still_does_not_fit_goes_down_the_ladder_of_the_budget_that_refuses():
    rich = budget("rich", limit_pico=worst(40), ladder=("max_tokens",), min_tokens=20)
    poor = budget("poor", scope="key", limit_pico=worst(30), ladder=("max_tokens",), min_tokens=20)
    one, upstream = talk(rich, poor), FakeUpstream([message()])

    assert one.run(call(), upstream).status == 200
    assert json.loads(upstream.sent[0])["max_tokens"] == 30


def test_another_plan_for_the_same_call_is_made_to_fit_alike():
    one = laddered("max_tokens", room=worst(30))
    prepared = prepare(call(), one.setup)
    other = Plan(body=body(metadata={}))
    assert fitted(prepared, other) is other

    prepared.fitted_tokens, prepared.is_told_to_end = 30, True

    again = fitted(prepared, other)
    assert again is not None
    assert json.loads(again.body)["max_tokens"] == 30
    assert len(json.loads(again.body)["messages"][0]["content"]) == 2
    assert fitted(prepared, Plan(body=b'{"max_tokens": 50}')) is None
