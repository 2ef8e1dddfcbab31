"""Circuits in front of exchanges: storms are answered from memory, and every ending is counted."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from farthing.core.attribution import keyed_digest
from farthing.core.breaker import Breakers
from farthing.core.breaker_values import BreakerKey, BreakerRules
from farthing.core.budgets import Budget
from farthing.core.exchange import converse
from farthing.core.exchange_call import Call, Moment
from farthing.core.exchange_effects import ClientHead, Deliver, Interrupted
from farthing.core.records import Attribution, RowFilter
from farthing.errors import UpstreamCut, UpstreamUnreachable
from farthing.pricing.money import PICO_PER_USD
from tests.unit.driver.talks import (
    EVENTS,
    NOW,
    FakeUpstream,
    Talk,
    body,
    call,
    error,
    message,
    setup,
    stream,
)

RULES = BreakerRules(failures=3, repeats=3, failed_share=0.5)
BAD = error("invalid_request_error")


class Timed(Talk):
    """A process whose clock stands where the call says that it came."""

    def parts(
        self, asked: Call, upstream: FakeUpstream
    ) -> Generator[ClientHead | bytes, None, None]:
        self.clock.ticks = asked.received.ns // 1_000_000
        return super().parts(asked, upstream)


def talk(**changes: Any) -> Timed:
    found = Timed(setup=setup(**{"breakers": Breakers(RULES)} | changes))
    found.setup.decided.is_kept = True
    return found


def breakers(found: Talk) -> Breakers:
    assert found.setup.breakers is not None
    return found.setup.breakers


def asked(number: int = 0, second: float = 0, **headers: Any) -> Call:
    """A call whose body and id are the number's."""
    found = call(body(metadata={"user_id": str(number)}), exchange_id=f"ex_{number}", **headers)
    received = Moment(NOW + timedelta(seconds=second), round(second * 10**9))
    return msgspec.structs.replace(found, received=received)


def failing() -> FakeUpstream:
    return FakeUpstream([BAD], status=400)


def rows(found: Talk) -> int:
    return len(list(found.ledger.rows(RowFilter())))


def notes(found: Talk, exchange_id: str) -> tuple[str, ...]:
    settlement = found.row(exchange_id).settlement
    assert settlement is not None
    return settlement.notes


def storm(found: Talk, **headers: Any) -> None:
    """Three different calls of a key that fail."""
    for number in range(3):
        assert found.run(asked(number, **headers), failing()).status == 400
    assert breakers(found).open_scopes


def test_a_storm_of_errors_is_refused_in_the_providers_envelope_and_leaves_no_row():
    running = talk()
    storm(running)
    upstream = FakeUpstream([message()])

    seen = running.run(asked(7), upstream)

    assert (seen.status, upstream.sent, rows(running)) == (402, [], 3)
    assert seen.headers["x-should-retry"] == "false"
    assert seen.headers["x-farthing-breaker"] == "key error_storm"
    said = json.loads(seen.body)
    assert said["error"]["type"] == "billing_error"
    assert said["error"]["details"]["error_code"] == "farthing.breaker.open"
    assert "at last invalid_request_error" in said["error"]["message"]


def test_a_slash_behind_the_path_is_no_way_around_an_open_circuit():
    running, upstream = talk(), FakeUpstream([message()])
    storm(running)

    slashed = msgspec.structs.replace(asked(7), path="/v1/messages/")

    assert (running.run(slashed, upstream).status, upstream.sent) == (402, [])


def test_the_row_with_which_it_opened_says_so():
    running = talk()
    storm(running)
    found = [notes(running, f"ex_{number}") for number in range(3)]
    assert found == [(), (), ("breaker.error_storm",)]
    assert [event.kind for event in running.setup.decided.take(NOW).events] == ["breaker.opened"]


def test_another_key_and_calls_that_cost_nothing_are_not_refused():
    running = talk()
    storm(running)
    assert running.run(asked(1, x_api_key="sk-2"), FakeUpstream([message()])).status == 200
    counting = msgspec.structs.replace(asked(2), path="/v1/messages/count_tokens")
    assert running.run(counting, FakeUpstream([b"{}"])).status == 200
    reading = msgspec.structs.replace(asked(3), method="GET")
    assert running.run(reading, FakeUpstream([b"{}"])).status == 200


def test_errors_of_counting_tokens_open_nothing():
    running = talk()
    for number in range(10):
        counting = msgspec.structs.replace(asked(number), path="/v1/messages/count_tokens")
        running.run(counting, failing())
    assert len(breakers(running)) == 0


def test_a_task_type_is_stopped_alone():
    rules = replace(RULES, failed_share=0.6)
    running = talk(breakers=Breakers(rules))
    for number in range(3):
        running.run(asked(number, x_farthing_task_type="draft"), FakeUpstream([message()]))
        running.run(asked(number + 5, x_farthing_task_type="triage"), failing())
    other = running.run(asked(20, x_farthing_task_type="draft"), FakeUpstream([message()]))
    seen = running.run(asked(21, x_farthing_task_type="triage"), FakeUpstream([message()]))
    assert (other.status, seen.status) == (200, 402)
    assert seen.headers["x-farthing-breaker"] == "task_type error_storm"
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    named: dict[str, Any] = {"traceparent": trace, "baggage": "farthing.task_type=triage"}
    assert running.run(asked(22, **named), FakeUpstream([message()])).status == 402


def test_a_probe_that_is_answered_well_closes_the_circuit():
    running = talk()
    storm(running)
    assert running.run(asked(8, 31), FakeUpstream([message()])).status == 200
    assert not breakers(running).is_any_open
    assert running.run(asked(9, 31.1), FakeUpstream([message()])).status == 200
    (opened, closed) = running.setup.decided.take(NOW).changes
    assert (opened.state, closed.state) == ("open", "closed")


def test_a_probe_that_fails_opens_it_for_longer():
    running = talk()
    storm(running)
    running.run(asked(8, 31), failing())
    assert running.run(asked(9, 90), FakeUpstream([message()])).status == 402
    assert running.run(asked(9, 92), FakeUpstream([message()])).status == 200


def test_a_probe_with_a_long_answer_lets_others_in_at_its_first_byte():
    running = talk()
    storm(running)
    parts = running.parts(asked(8, 31), FakeUpstream(stream(), headers=EVENTS))
    head = next(parts)
    assert isinstance(head, ClientHead)
    assert not breakers(running).is_any_open
    parts.close()


def test_a_probe_that_is_interrupted_before_it_was_sent_is_given_back():
    running = talk()
    storm(running)
    conversation = converse(asked(8, 31), running.setup)
    next(conversation)
    assert running.run(asked(9, 32), FakeUpstream([message()])).status == 402
    conversation.close()
    assert running.run(asked(9, 32), FakeUpstream([message()])).status == 200


def test_one_call_that_a_budget_refuses_again_and_again_is_answered_from_memory():
    running = talk(task_cap_pico=1)
    upstream = FakeUpstream([message()])
    for number in range(3):
        again = msgspec.structs.replace(asked(), exchange_id=f"ex_{number}")
        assert running.run(again, upstream).status == 402
    assert rows(running) == 3
    for _ in range(100):
        seen = running.run(asked(), upstream)
        assert seen.headers["x-farthing-breaker"] == "call retry_storm"
    assert (rows(running), upstream.sent) == (3, [])
    assert running.run(asked(5), upstream).headers.get("x-farthing-breaker") is None


def test_budgets_that_were_changed_are_asked_again_at_once():
    running = talk(task_cap_pico=1)
    upstream = FakeUpstream([message()])
    for _ in range(4):
        running.run(asked(), upstream)
    running.setup.task_cap_pico = None
    running.setup.board.budgets = (Budget(name="b", scope="everything", limit_pico=PICO_PER_USD),)
    assert running.run(asked(), upstream).status == 200


def test_money_that_a_call_gives_back_is_there_for_one_that_was_stopped():
    budget = Budget(name="b", scope="everything", limit_pico=5 * 10**9, mode="strict")
    running = talk()
    running.setup.board.budgets = (budget,)
    parts = running.parts(asked(1), FakeUpstream(stream(), headers=EVENTS))
    next(parts)  # it holds most of the budget while it runs
    for _ in range(10):
        assert running.run(asked(2), FakeUpstream([message()])).status == 402
    assert breakers(running).open_calls
    list(parts)
    assert running.run(asked(2), FakeUpstream([message()])).status == 200


@pytest.mark.parametrize(
    "upstream",
    [
        FakeUpstream([error("overloaded_error")], status=529),
        FakeUpstream(fails=UpstreamUnreachable()),
        FakeUpstream(fails=UpstreamCut()),
        FakeUpstream([message()], cut_after=0),
    ],
)
def test_the_providers_trouble_opens_nothing(upstream):
    running = talk()
    for number in range(10):
        running.run(asked(number), upstream)
    assert not breakers(running).is_any_open


def test_spending_too_fast_is_refused_whatever_the_calls_are():
    rules = replace(RULES, velocity_pico=1)
    running = talk(breakers=Breakers(rules))
    assert running.run(asked(1), FakeUpstream([message()])).status == 200
    seen = running.run(asked(2), FakeUpstream([message()]))
    assert seen.headers["x-farthing-breaker"] == "key velocity"
    assert "at last" not in json.loads(seen.body)["error"]["message"]


def test_what_is_not_known_of_a_cost_is_not_spent():
    running = talk(breakers=Breakers(replace(RULES, velocity_pico=1)))
    running.run(asked(1), FakeUpstream([b"no message"]))
    assert not breakers(running).is_any_open


def test_calls_of_our_own_pass_and_are_not_counted():
    running = talk()
    storm(running)
    owner = Attribution(task_id="t", root_task_id="t", key_scope="k", source="header")
    ping = msgspec.structs.replace(asked(9), ping_for=owner)
    assert running.run(ping, FakeUpstream([message()])).status == 200


def test_a_fault_of_ours_lets_the_call_pass():
    running = talk()
    storm(running)
    breakers(running).rules = None  # type: ignore[assignment]  # the fault
    asked_late = asked(9, 40)
    assert running.run(asked_late, FakeUpstream([message()])).status == 200
    assert "fail_open.breaker" in notes(running, "ex_9")


def test_a_fault_in_judging_is_noted_and_the_answer_stands():
    running = talk()
    breakers(running).rules = None  # type: ignore[assignment]  # the fault
    assert running.run(asked(1), FakeUpstream([message()])).status == 200
    assert notes(running, "ex_1") == ("fail_open.breaker",)


def test_a_storm_of_fifty_thousand_repetitions_takes_no_memory_and_no_row():
    running = talk(task_cap_pico=1)
    upstream = FakeUpstream([message()])
    for _ in range(3):
        running.run(asked(), upstream)
    taken = len(running.setup.decided.take(NOW).events)
    again = asked()

    def repeat(times: int) -> None:
        for _ in range(times):
            for _effect in converse(again, running.setup):
                pass

    repeat(45_000)
    tracemalloc.start()  # the last of them are watched: watching makes each five times as slow
    try:
        repeat(100)
        before, _ = tracemalloc.get_traced_memory()
        repeat(5_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 5_000 * 4  # what is kept of each would be a hundred bytes
    assert (rows(running), upstream.sent, len(breakers(running))) == (1, [], 2)
    assert breakers(running).refused == {("call", "retry_storm"): 50_100}
    assert taken <= 2
    assert running.setup.decided.take(NOW).events == []
    (closed,) = breakers(running).close(Moment(NOW, 0))
    assert closed.refused == 50_100


def test_without_breakers_nothing_is_stopped():
    running = talk(breakers=None)
    for number in range(10):
        assert running.run(asked(number), failing()).status == 400
    assert running.run(asked(11), FakeUpstream([message()])).status == 200


def test_closed_circuits_are_not_looked_at_and_a_digest_is_made_once_there_is_trouble():
    running = talk()
    assert running.run(asked(1), FakeUpstream([message()])).status == 200
    assert running.row("ex_1").opened.body_digest == ""
    for number in range(3):
        running.run(msgspec.structs.replace(asked(2), exchange_id=f"ex_9{number}"), failing())
    assert breakers(running).open_calls
    key = BreakerKey("key", running.row("ex_1").opened.attribution.key_scope)
    breakers(running)._forget(key)
    again = msgspec.structs.replace(asked(1), exchange_id="ex_again")
    assert running.run(again, FakeUpstream([message()])).status == 200
    digest = keyed_digest(sha256(again.body).digest(), running.setup.install_key)
    assert running.row("ex_again").opened.body_digest == digest


def test_an_interrupted_call_that_was_sent_is_judged_by_its_row():
    running = talk()
    storm(running)
    parts = running.parts(asked(8, 31), FakeUpstream(stream(), headers=EVENTS))
    next(parts)
    next(parts)
    with pytest.raises(Interrupted):
        parts.throw(Interrupted())
    key = BreakerKey("key", running.row("ex_8").opened.attribution.key_scope)
    assert breakers(running).state(key) == "closed"


def test_a_refusal_is_one_delivery_and_nothing_else():
    running = talk()
    storm(running)
    effects = list(converse(asked(7), running.setup))
    assert [type(effect) for effect in effects] == [Deliver]
