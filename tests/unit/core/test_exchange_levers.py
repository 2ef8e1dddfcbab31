"""Levers inside an exchange, from outside: what is sent, what is on record, what fails open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from farthing.core.engine import Engine
from farthing.core.engine_values import EngineAnswer, EngineCall
from farthing.core.exchange_call import Moment
from farthing.core.exchange_levers import Levers
from farthing.core.pins import LineagePin
from farthing.core.policy import policy_of
from farthing.core.records import Accounting, Settlement
from farthing.driver import Ports
from farthing.driver.pins import PinStore
from farthing.errors import LedgerError, UpstreamTimeout
from farthing.ledger.pins import MemoryPins
from farthing.pricing import price
from farthing.wire.usage import Usage
from tests.unit.core import engine_cases as cases
from tests.unit.driver.talks import FakeUpstream, Talk, call, error, message, setup

USAGE = {"input_tokens": 0, "cache_creation_input_tokens": 4_000, "output_tokens": 20}


@dataclass
class Pinned(Talk):
    pins: PinStore | None = field(default_factory=MemoryPins)

    @property
    def ports(self) -> Ports:
        return replace(super().ports, pins=self.pins)


def talk(*policy: Any, pins: PinStore | None = None, **changes: Any) -> Pinned:
    engine = Engine(cases.setup(*policy))
    return Pinned(setup=setup(engine=engine, **changes), pins=pins)


def settled(one: Talk, exchange_id: str = "ex_1") -> Settlement:
    row = one.ledger.row(exchange_id)
    assert row is not None
    assert row.settlement is not None
    return row.settlement


def answer() -> FakeUpstream:
    return FakeUpstream([message(USAGE)])


def test_a_call_is_marked_accounted_and_says_what_it_saved():
    one, upstream = talk(), answer()

    seen = one.run(call(cases.body(1)), upstream)

    record = settled(one)
    assert cases.marks(upstream.sent[0])[-1] == ("messages.0.0", cases.MARK)
    assert "+cache.marks" in record.plan
    assert record.accounting is not None
    assert record.cost is not None
    assert record.baseline_pico == record.accounting.baseline_pico
    saved = sum(each.saved_pico for each in record.accounting.savings)
    assert record.baseline_pico - record.cost.total == saved
    # the first call pays for the write
    assert seen.headers["x-farthing-saved-usd"].startswith("-")


def test_where_the_engine_is_off_nothing_is_accounted():
    one, upstream = Talk(), answer()

    one.run(call(cases.body(1)), upstream)

    assert upstream.sent == [cases.body(1)]
    assert settled(one).accounting is None
    assert settled(one).plan == ()


def test_counting_and_other_paths_are_left_alone():
    one, upstream = talk(), FakeUpstream([b"{}"])

    one.run(call(cases.body(1), path="/v1/messages/count_tokens"), upstream)

    assert upstream.sent == [cases.body(1)]


def test_an_unreadable_body_goes_to_claude_as_it_is():
    one, upstream = talk(), FakeUpstream([error("invalid_request_error")], 400)

    one.run(call(b"\xff{"), upstream)

    assert upstream.sent == [b"\xff{"]
    assert "request.unreadable" in settled(one).notes


def test_a_header_leaves_a_call_alone():
    one = talk()
    bypassed, switched = answer(), answer()

    one.run(call(cases.body(1), x_farthing_bypass="1"), bypassed)
    one.run(call(cases.body(1), exchange_id="ex_2", x_farthing_levers="-*"), switched)

    assert bypassed.sent == switched.sent == [cases.body(1)]
    assert settled(one).plan == ("-all:bypass",)
    assert settled(one).accounting is not None


def test_what_a_header_asks_in_vain_is_noted():
    one = talk()

    one.run(call(cases.body(1), x_farthing_levers="+repair.tools_order"), answer())

    assert "levers.not_allowed:repair.tools_order" in settled(one).notes


@dataclass
class Refusing(FakeUpstream):
    """Refuses whatever names a mark, as often as said."""

    refusals: int = 1
    said: str = "messages.0: cache_control is not allowed here"

    def send(self, sent: bytes) -> Any:
        self.status = 400 if self.refusals else 200
        self.refusals -= 1
        refused = error("invalid_request_error").replace(b'"no"', f'"{self.said}"'.encode())
        self.chunks = [refused if self.status == 400 else message(USAGE)]
        return super().send(sent)


def test_a_refused_mark_is_sent_again_without_and_remembered():
    one, upstream = talk(), Refusing()

    seen = one.run(call(cases.body(1)), upstream)

    assert seen.status == 200
    assert cases.marks(upstream.sent[0])
    assert upstream.sent[1] == cases.body(1)
    record = settled(one)
    assert "levers.refused" in record.notes
    assert "-cache.marks:refused" in record.plan
    assert record.baseline_pico == (record.cost.total if record.cost else None)
    later = answer()
    one.run(call(cases.body(2), exchange_id="ex_2"), later)
    assert later.sent == [cases.body(2)]


@pytest.mark.parametrize(
    ("sent", "said"), [(cases.body(1), "max_tokens: too many"), (b'{"model":"m"}', "cache_control")]
)
def test_a_refusal_that_is_not_about_our_marks_is_the_clients(sent: bytes, said: str):
    one, upstream = talk(), Refusing(said=said)

    seen = one.run(call(sent), upstream)

    assert seen.status == 400
    assert len(upstream.sent) == 1


def test_a_refusal_that_is_cut_is_a_failure():
    one = talk()
    upstream = FakeUpstream([error("invalid_request_error")], 400, cut_after=0)

    assert one.run(call(cases.body(1)), upstream).status == 502


class Deaf(MemoryPins):
    def pin(self, lineage_id: str, now: datetime) -> LineagePin | None:
        raise LedgerError("not now")

    def keep(self, pin: LineagePin, now: datetime) -> LineagePin:
        raise LedgerError("not now")


def test_a_pin_store_that_fails_leaves_the_content_and_the_call_goes_on():
    one, upstream = talk(policy_of("safe", on=["repair.tools_order"]), pins=Deaf()), answer()

    assert one.run(call(cases.body(1)), upstream).status == 200

    assert b'"write"' in upstream.sent[0].split(b'"read"')[0]
    assert {"pins.unreadable", "pins.unwritable"} <= set(settled(one).notes)


@pytest.mark.parametrize("pins", [None, MemoryPins()])
def test_a_pin_is_kept_by_the_store_or_by_the_engine_alone(pins: PinStore | None):
    one = talk(policy_of("safe", on=["repair.tools_order"]), pins=pins)
    for number in (1, 2):
        upstream = answer()
        one.run(call(cases.body(number), exchange_id=f"ex_{number}"), upstream)
        assert "+repair.tools_order" in settled(one, f"ex_{number}").plan


class Breaking(Engine):
    """Fails in one of its steps."""

    step = ""

    def choose(self, call: EngineCall, pin: LineagePin | None) -> LineagePin | None:
        self.broken("choose")
        return super().choose(call, pin)

    def ended(
        self, call: EngineCall, answer: EngineAnswer, first_byte_at: datetime
    ) -> Accounting | None:
        self.broken("ended")
        return super().ended(call, answer, first_byte_at)

    def broken(self, step: str) -> None:
        if step == self.step:
            raise RuntimeError("a bug of ours")


@pytest.mark.parametrize(("step", "is_marked"), [("choose", False), ("ended", True)])
def test_a_step_that_fails_ends_the_engine_for_this_call_and_nothing_else(
    step: str, *, is_marked: bool
):
    engine = Breaking(cases.setup())
    engine.step = step
    one, upstream = Pinned(setup=setup(engine=engine)), answer()

    assert one.run(call(cases.body(1)), upstream).status == 200

    assert bool(cases.marks(upstream.sent[0])) is is_marked
    assert settled(one).accounting is None
    assert settled(one).notes == ("fail_open.levers",)
    assert one.notes == ["fail_open.levers"]


def test_an_hour_of_ours_is_in_the_bound():
    held: list[int] = []
    for mark in (None, cases.HOUR):
        one = talk(task_cap_pico=10**13)
        one.run(call(cases.body(1, mark=mark)), answer())
        row = one.ledger.row("ex_1")
        assert row is not None
        held.append(row.opened.high_pico or 0)

    assert held[0] < held[1]


def test_an_error_costs_nothing_and_would_have_cost_nothing():
    one = talk()

    one.run(call(cases.body(1)), FakeUpstream([error("overloaded_error")], 529))

    assert settled(one).baseline_pico == 0
    assert settled(one).accounting is None


def test_a_refusal_of_the_clients_own_mark_is_the_clients():
    one, upstream = talk(policy_of("observe")), Refusing()

    assert one.run(call(cases.body(1, mark=cases.MARK)), upstream).status == 400
    assert upstream.sent == [cases.body(1, mark=cases.MARK)]


def test_where_no_answer_came_there_is_nothing_to_account():
    one = talk()

    assert one.run(call(cases.body(1)), FakeUpstream(fails=UpstreamTimeout())).status == 504

    assert settled(one).state == "unsettled"
    assert settled(one).accounting is None


def test_a_call_that_is_settled_twice_is_judged_once():
    process = cases.Process()
    process.plan(cases.body(1))
    state = process.call
    assert state is not None
    levers = Levers(process.engine, state, [])
    levers.began(Moment(cases.NOW, 0), has_waited=False)
    levers.first_byte(1_000)
    card = state.card
    usage = Usage(cache_write_5m=4_000, output=20)
    told = EngineAnswer(usage=usage, cost=price(usage, card), card=card, stop_reason="end_turn")

    first = levers.ended(told, 1_000)

    assert first is not None
    assert levers.ended(told, 1_000) is first
    assert process.engine.accounts.governor.verdict("cache.marks", "api").exchanges == 1
