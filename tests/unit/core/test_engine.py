"""The engine from a body to an account: what leaves, what is pinned, what is proven."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from farthing.core import engine as engine_module
from farthing.core.engine import Engine
from farthing.core.governor import Governor, Residual
from farthing.core.pins import LineagePin
from farthing.core.policy import policy_of
from farthing.core.shadow import Savings, Shadows
from farthing.ledger.pins import MemoryPins
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage
from tests.unit.core.engine_cases import (
    HOUR,
    MARK,
    MODEL,
    NOW,
    TOOLS,
    Process,
    attribution,
    body,
    caller,
    marks,
    setup,
    text,
)


def process(*args: Any, pins: MemoryPins | None = None, **changes: Any) -> Process:
    return Process(engine=Engine(setup(*args, **changes)), pins=pins or MemoryPins())


def order(sent: bytes) -> list[str]:
    return [tool["name"] for tool in json.loads(sent)["tools"]]


# -- what leaves ----------------------------------------------------------------------------------


def test_a_client_that_marks_nothing_gets_marks_and_reads_what_it_wrote():
    one = Process()

    first, _ = one.turn(body(1))
    second, account = one.turn(body(2))

    assert "+cache.marks" in first.reasons
    assert marks(first.body)[-1] == ("messages.0.0", MARK)
    assert marks(second.body)[-1] == ("messages.2.0", MARK)
    assert account is not None
    assert account.foreseen is not None
    assert account.foreseen.cache_read > 0
    assert [saving.lever for saving in account.savings] == ["cache.marks"]
    assert account.savings[0].saved_pico > 0


def test_savings_add_up_to_baseline_minus_cost_whatever_the_answer_says():
    one = Process()
    one.turn(body(1))
    one.plan(body(2))
    told = Usage(uncached=77, cache_write_5m=500, cache_read=1_000, output=9)

    account = one.answer(told)

    assert account is not None
    assert one.call is not None
    saved = sum(saving.saved_pico for saving in account.savings)
    assert account.baseline_pico - price(told, one.call.card).total == saved


def test_where_no_lever_acts_the_bytes_are_the_clients_and_the_baseline_is_the_cost():
    one = process(policy_of("observe"))
    reasons: tuple[str, ...] = ()
    for turns in (1, 2, 3):
        plan, account = one.turn(body(turns))

        reasons = plan.reasons
        assert plan.body == body(turns)
        assert all(reason.startswith(("~", "-")) for reason in plan.reasons)
        assert account is not None
        assert one.call is not None
        assert one.call.shadowed is not None
        assert account.savings == ()
    assert "~cache.marks" in reasons


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ({"is_bypassed": True}, "-all:bypass"),
        ({"levers": "-*"}, None),
        ({"is_subscription": True}, None),
    ],
)
def test_a_call_that_is_left_alone_leaves_as_it_came(who: dict[str, Any], why: str | None):
    one = Process()
    one.turn(body(1))

    plan = one.plan(body(2), **who)

    assert plan.body == body(2)
    assert why is None or why in plan.reasons


def test_the_clients_own_marks_stay_where_they_are():
    one = Process()
    system = [text("You are an agent. " * 300, cache_control=HOUR)]

    plan = one.plan(body(1, mark=MARK, system=system))

    placed = dict(marks(plan.body))
    assert placed["system.0"] == HOUR
    assert placed["messages.0.0"] == MARK


def test_a_trailing_system_message_with_the_moving_mark_is_one_lineage_and_no_dearer():
    def sent(turns: int) -> bytes:
        request = json.loads(body(turns))
        said = [text("Reminder. " * 40, cache_control=MARK)]
        request["messages"].append({"role": "system", "content": said})
        return json.dumps(request).encode()

    one = Process()
    lineages = set()
    accounts = []
    for turns in range(1, 8):
        plan, account = one.turn(sent(turns))
        assert one.call is not None
        lineages.add(one.call.lineage_id)
        accounts.append(account)
        assert marks(plan.body)[-1] == (f"messages.{2 * turns - 1}.0", MARK)

    assert len(lineages) == 1
    assert all(a is not None and a.baseline_pico > 0 for a in accounts)
    last = accounts[-1]
    assert last is not None
    assert sum(saving.saved_pico for saving in last.savings) >= 0


@pytest.mark.parametrize(
    "fields",
    [{"model": "claude-unknown-9"}, {"thread": {"type": "create"}}, {"messages": []}, {"model": 7}],
)
def test_what_the_engine_cannot_judge_is_none_of_its_business(fields: dict[str, Any]):
    engine = Engine(setup())

    assert engine.begin(engine.read(body(**fields), {}), caller()) is None


def test_automatic_caching_acts_where_marks_may_not():
    one = process(policy_of("safe", off=["cache.marks", "cache.ttl"]))

    plan, account = one.turn(body(1))

    assert marks(plan.body) == [("top", MARK)]
    assert account is not None
    assert [saving.lever for saving in account.savings] == ["cache.auto"]


# -- pins -----------------------------------------------------------------------------------------


def test_a_one_shot_writes_no_pin_and_a_conversation_one():
    one = Process()

    one.turn(body(1))
    assert one.call is not None
    assert one.pins.pin(one.call.lineage_id, NOW) is None
    one.turn(body(2))

    kept = one.pins.pin(one.call.lineage_id, NOW)
    assert kept is not None
    assert kept.ttl_tail == "5m"
    assert one.engine.known_pin(one.call) == kept


def test_a_repair_is_made_from_the_first_request_on_whatever_the_policy_says_later():
    pins = MemoryPins()
    repairing = process(policy_of("safe", on=["repair.tools_order"]), pins=pins)
    safe = process(pins=pins)

    first, _ = repairing.turn(body(1))
    second, account = safe.turn(body(2))  # another replica, another policy

    assert order(body(1)) == ["write", "read"]
    assert order(first.body) == order(second.body) == ["read", "write"]
    assert "+repair.tools_order" in second.reasons
    assert account is not None
    assert account.savings[0].lever == "repair.tools_order"


def test_a_conversation_that_began_without_repairs_never_gets_one():
    pins = MemoryPins()
    process(pins=pins).turn(body(1))
    repairing = process(policy_of("safe", on=["repair.tools_order"]), pins=pins)

    for turns, after in ((2, 10.0), (3, 10_000.0)):
        plan, _ = repairing.turn(body(turns), after=after)
        assert order(plan.body) == ["write", "read"]


def test_of_two_replicas_that_choose_at_once_the_first_pin_wins():
    pins = MemoryPins()
    repairing = process(policy_of("safe", on=["repair.tools_order"]), pins=pins)
    call = repairing.engine.begin(repairing.engine.read(body(1), {}), caller())
    assert call is not None
    wanted = repairing.engine.choose(call, None)
    assert isinstance(wanted, LineagePin)
    other = LineagePin(
        lineage_id=wanted.lineage_id,
        ttl_head=None,
        ttl_tail="5m",
        policy_digest="",
        engine_version="1",
        chosen_at=NOW,
    )

    repairing.engine.kept(call, other)

    assert order(repairing.engine.shape(call).body) == ["write", "read"]


def test_a_pin_that_cannot_be_kept_leaves_the_content_alone():
    one = process(policy_of("safe", on=["repair.tools_order"]))
    call = one.engine.begin(one.engine.read(body(1), {}), caller())
    assert call is not None
    one.engine.choose(call, None)

    one.engine.kept(call, None)

    assert order(one.engine.shape(call).body) == ["write", "read"]


def test_a_repair_that_has_nothing_to_do_says_so():
    one = process(policy_of("safe", on=["repair.tools_order"]))

    plan = one.plan(body(1, tools=TOOLS[:1]))

    assert "-repair.tools_order:nothing_to_do" in plan.reasons


def test_a_new_epoch_may_bring_another_lifetime_and_a_new_pin():
    one = Process()
    one.turn(body(1))
    for turns in range(2, 40):  # pauses of ten minutes: an hour is cheaper
        one.turn(body(turns), after=600.0)
    assert one.call is not None

    kept = one.pins.pin(one.call.lineage_id, NOW)

    assert kept is not None
    assert kept.ttl_tail == "1h"
    assert kept.epoch > 0


def test_an_hour_that_a_client_asks_for_is_written_for_less_where_that_is_cheaper():
    one = Process()
    changed = False
    for turns in range(1, 30):
        plan, _ = one.turn(body(turns, mark=HOUR), after=2.0)
        changed = changed or "+cache.ttl" in plan.reasons
        if "+cache.ttl" in plan.reasons:
            assert json.loads(plan.body)["messages"] != json.loads(body(turns, mark=HOUR))
    assert one.engine.cache.learned().by_class


# -- proof ----------------------------------------------------------------------------------------


def test_a_lever_that_was_shown_to_lose_does_not_act():
    governor = Governor(engine_version="1")
    for _ in range(60):
        governor.record("cache.marks", "api", Residual(saved_pico=-90, bound_pico=100))
    one = process(governor=governor)

    plan = one.plan(body(1))

    assert not any(reason.startswith("+cache.marks") for reason in plan.reasons)
    assert "-cache.marks:governed_off" in plan.reasons


def test_each_saving_is_evidence_for_the_governor():
    one = Process()

    one.turn(body(1))

    judged = [each.lever for each in one.engine.accounts.governor.judgements()]
    assert judged == ["cache.marks"]


def test_a_held_out_task_is_left_alone_and_says_so():
    one = process(hold_out=1.0)

    plan, account = one.turn(body(1))

    assert plan.body == body(1)
    assert "-all:held_out" in plan.reasons
    assert account is not None
    assert account.is_held_out


def test_a_miss_has_a_cause_with_its_place():
    one = Process()
    one.turn(body(1, mark=MARK))

    _, account = one.turn(body(2, mark=MARK, system=[text("You are another. " * 300)]))

    assert account is not None
    assert account.miss_cause == "system"


def test_what_costs_nothing_or_tells_nothing_is_not_compared():
    one = Process()
    one.plan(body(1))

    assert one.answer(Usage(output=3)) is None
    assert one.answer(Usage(uncached=3, output=3), cost=-1) is None


def test_a_refused_mark_is_taken_back_and_none_follows_in_this_lineage():
    one = Process()
    one.plan(body(1))
    assert one.call is not None

    plan = one.engine.unmarked(one.call)
    account = one.answer()
    later = one.plan(body(2))

    assert plan.body == body(1)
    assert later.body == body(2)
    assert account is not None
    assert account.savings == ()


def test_an_answer_after_a_wait_credits_the_fan_out():
    one = Process()
    one.plan(body(1))
    call = one.call
    assert call is not None

    one.engine.accounts.began(call, NOW + timedelta(seconds=30), has_waited=True)

    assert call.shadowed is not None
    assert call.shadowed.sent.lever == "cache.fanout"


def test_workloads_and_kinds_are_told_apart():
    engine = Engine(setup())

    def workload(**changes: Any) -> str:
        reading = engine.read(body(1), {})
        call = engine.begin(reading, caller(attribution=attribution(**changes)))
        assert call is not None
        return call.workload

    assert workload() == "api"
    assert workload(task_type="nightly") == "nightly"
    assert workload(source="claude-code") == "main"
    assert workload(source="claude-code", agent_id="a1") == "subagent"
    assert catalog().traits(MODEL) is not None


def test_lineages_without_a_name_are_told_apart_by_their_first_message():
    engine = Engine(setup())

    def lineage(**fields: Any) -> str:
        unnamed = attribution(source="lineage", task_id="lineage:1")
        call = engine.begin(engine.read(body(**fields), {}), caller(attribution=unnamed))
        assert call is not None
        return call.lineage_id

    other = [{"role": "user", "content": "Something else"}]
    assert lineage() == lineage(system="another") != lineage(messages=other)


def test_pins_and_refusals_are_remembered_for_so_many_lineages(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine_module, "_LINEAGES", 2)
    one = process(policy_of("safe", on=["repair.tools_order"]))
    calls = []
    for number in range(3):
        one.turn(body(messages=[{"role": "user", "content": f"{number} is the question"}]))
        calls.append(one.call)

    known = [one.engine.known_pin(call) is not None for call in calls if call is not None]

    assert known == [False, True, True]


def test_an_answer_that_no_forecast_bounds_is_counted_and_not_judged():
    one = Process()
    one.plan(body(1))
    assert one.call is not None
    one.engine.accounts.first_byte(one.call, NOW)  # before it left: nothing to publish

    class Wild(Shadows):
        def settle(self, *args: Any, **more: Any) -> Savings:
            return replace(super().settle(*args, **more), bound_pico=1)

    one.engine.accounts.shadows = Wild()
    one.answer()

    assert one.engine.accounts.out_of_bounds == 1


def test_blocks_that_are_not_rendered_weigh_nothing_where_they_stand():
    deferred = [*TOOLS, {"name": "late", "input_schema": {}, "defer_loading": True}]
    engine = Engine(setup())
    call = engine.begin(engine.read(body(1, tools=deferred), {}), caller())

    assert call is not None
    assert call.view.positions[1] == call.view.positions[2]
