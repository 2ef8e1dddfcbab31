"""The way out of alerts: queues in order, ever longer pauses, an end, and nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from farthing.core.alert_flow import FlowLimits
from farthing.core.alerts import Alert, make_alert
from farthing.driver.alerts import DeliveryState, Verdict
from farthing.driver.jobs.alerting import Alerting, RetryLimits
from farthing.ledger.alert_store import SqliteAlertStore

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FACTS = {"calls": 1, "errors": 1}
DELIVERED, AGAIN, DEAD = (Verdict(state=state, why="x") for state in ("delivered", "again", "dead"))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def urgent(scope: str = "provider", seconds: float = 0) -> Alert:
    return make_alert("provider_errors", scope, at(seconds), facts=FACTS)


def alerting(store: SqliteAlertStore, *, hourly: int = 20, **channels: bool) -> Alerting:
    return Alerting(
        store=store,
        channels=channels or {"slack": False},
        flow=FlowLimits(digest_seconds=300, hourly=hourly),
        retries=RetryLimits(first_seconds=2, longest_seconds=60, attempts=4),
    )


@pytest.fixture
def store():
    made = SqliteAlertStore()
    yield made
    made.close()


def told(machine: Alerting, seconds: float) -> int:
    ids = count()
    return machine.gather(at(seconds), lambda: f"al_{seconds}_{next(ids)}")


def test_nothing_raised_nothing_due(store):
    machine = alerting(store)
    assert told(machine, 0) == 0
    assert machine.due(at(0)) == []
    assert machine.seconds_until_due(at(0)) is None


def test_an_urgent_alert_is_due_at_once_on_every_channel(store):
    machine = alerting(store, slack=False, pagerduty=True)
    machine.add([urgent("a"), urgent("b")])
    assert told(machine, 0) == 1
    due = machine.due(at(0))
    assert [(one.channel, len(one.message.alerts)) for one in due] == [
        ("slack", 2),
        ("pagerduty", 1),
    ]
    for one in due:
        assert not machine.ended(one, DELIVERED, at(0), roll=0.5)
    (second,) = machine.due(at(0))
    assert second.message.alerts[0].scope == "b"


def test_the_digest_says_when_it_is_due(store):
    machine = alerting(store)
    machine.add([make_alert("unpriced_model", "m", at(0), facts={})])
    assert told(machine, 10) == 0
    assert machine.seconds_until_due(at(10)) == 60  # never longer than the longest pause
    assert machine.seconds_until_due(at(290)) == 10
    assert told(machine, 300) == 1


def test_pauses_double_up_to_the_longest_and_the_last_attempt_is_the_end(store):
    machine = alerting(store)
    machine.add([urgent()])
    told(machine, 0)
    second, pauses = 0.0, []
    for _ in range(3):
        (one,) = machine.due(at(second))
        assert not machine.ended(one, AGAIN, at(second), roll=0.0)
        pause = machine.seconds_until_due(at(second))
        assert pause is not None
        pauses.append(pause)
        assert machine.due(at(second + pause - 0.01)) == []
        second += pause
    assert pauses == [1, 2, 4]
    (last,) = machine.due(at(second))
    assert machine.ended(last, AGAIN, at(second), roll=0.0)
    assert machine.due(at(second + 9999)) == []
    (dead,) = store.deliveries("dead")
    assert (dead.attempts, dead.why) == (4, "x")


def test_the_roll_spreads_pauses_and_the_receiver_may_ask_for_more(store):
    machine = alerting(store)
    machine.add([urgent()])
    told(machine, 0)
    (one,) = machine.due(at(0))
    machine.ended(one, AGAIN, at(0), roll=0.999)
    pause = machine.seconds_until_due(at(0))
    assert pause is not None
    assert 1.9 < pause < 2
    (one,) = machine.due(at(2))
    machine.ended(one, Verdict(state="again", after_seconds=30), at(2), roll=0)
    assert machine.seconds_until_due(at(2)) == 30
    (one,) = machine.due(at(32))
    machine.ended(one, Verdict(state="again", after_seconds=99999), at(32), roll=0)
    assert machine.seconds_until_due(at(32)) == 60


def test_what_ends_never_overtakes_what_begins(store):
    machine = alerting(store, pagerduty=True)
    begin = urgent()
    machine.add([begin])
    told(machine, 0)
    (first,) = machine.due(at(0))
    machine.ended(first, AGAIN, at(0), roll=0)
    machine.add([replace(begin, state="resolved", at=at(0.5))])
    told(machine, 0.5)
    assert machine.due(at(0.6)) == []
    (first,) = machine.due(at(1))
    assert first.message.alerts[0].state == "firing"
    machine.ended(first, DELIVERED, at(1), roll=0)
    (second,) = machine.due(at(1))
    assert second.message.alerts[0].state == "resolved"


def test_a_refusal_is_the_end_at_once_and_can_be_put_back(store):
    machine = alerting(store)
    machine.add([urgent()])
    told(machine, 0)
    (one,) = machine.due(at(0))
    assert machine.ended(one, DEAD, at(0), roll=0)
    assert store.revive([one.number, 99], at(5)) == 1
    (again,) = machine.due(at(5))
    assert (again.number, again.attempts) == (one.number, 0)
    assert not machine.ended(again, DELIVERED, at(5), roll=0)
    assert [d.number for d in store.deliveries("delivered")] == [one.number]


def test_a_channel_that_is_set_up_no_more_keeps_its_queue_and_stops_nobody(store):
    alerting(store, webhook=False).add([urgent()])
    told(alerting(store, webhook=False), 0)
    machine = alerting(store, slack=False)
    assert machine.due(at(0)) == []
    assert machine.seconds_until_due(at(0)) is None
    assert len(store.deliveries("waiting")) == 1


def test_a_clock_that_went_back_does_not_silence_a_channel(store):
    machine = alerting(store)
    machine.add([urgent()])
    told(machine, 90_000)
    assert len(machine.due(at(0))) == 1


def test_a_machine_made_anew_goes_on_where_the_last_one_was(store):
    first = alerting(store, hourly=1)
    first.add([urgent("a")])
    told(first, 0)
    first.add([urgent("b", 1)])
    second = alerting(store, hourly=1)
    assert told(second, 1) == 0
    assert [one.message.alerts[0].scope for one in second.due(at(1))] == ["a"]
    assert told(second, 3600) == 1


def test_without_a_channel_alerts_are_kept_and_go_nowhere(store):
    machine = Alerting(store=store, channels={})
    machine.add([urgent()])
    assert told(machine, 0) == 1
    assert machine.due(at(0)) == []
    assert [alert.scope for alert in store.firing()] == ["provider"]


def test_what_fires_is_the_last_word_of_each_thing_that_can_end(store):
    begin = urgent("a")
    machine = alerting(store)
    machine.add([begin, urgent("b"), make_alert("test", "x", NOON, facts={})])
    machine.add([replace(begin, state="resolved")])
    assert [alert.scope for alert in store.firing()] == ["b"]


def test_after_a_month_what_is_done_is_forgotten_and_what_fires_or_waits_is_not(store):
    machine = alerting(store)
    over = urgent("over")
    machine.add([over, replace(over, state="resolved"), urgent("fires")])
    told(machine, 0)
    (one,) = machine.due(at(0))
    assert machine.expire(at(40 * 86_400)) == 0
    machine.ended(one, DELIVERED, at(0), roll=0)
    machine.add([urgent("waits", 1)])
    assert machine.expire(at(29 * 86_400)) == 0
    assert machine.expire(at(31 * 86_400)) == 1
    assert [alert.scope for alert in store.firing()] == ["fires", "waits"]
    assert [one.alert.scope for one in store.pending()] == ["waits"]


@given(st.lists(st.sampled_from(["raise", "ok", "again", "dead", "wait"]), max_size=40))
def test_each_alert_reaches_each_channel_or_is_kept_as_given_up(steps):
    store = SqliteAlertStore()
    machine = alerting(store, hourly=1000, slack=False, pagerduty=True)
    second, raised = 0.0, 0
    for step in steps:
        second += 30 if step == "wait" else 0.1
        if step == "raise":
            machine.add([urgent(f"s{raised}", second)])
            raised += 1
        told(machine, second)
        for one in machine.due(at(second)):
            verdict = {"ok": DELIVERED, "again": AGAIN, "dead": DEAD}.get(step)
            if verdict is not None:
                machine.ended(one, verdict, at(second), roll=0.3)
    told(machine, second)
    states: tuple[DeliveryState, ...] = ("waiting", "delivered", "dead")
    for channel in ("slack", "pagerduty"):
        scopes = [
            alert.scope
            for state in states
            for one in store.deliveries(state)
            if one.channel == channel
            for alert in one.message.alerts
        ]
        assert sorted(scopes) == sorted(f"s{number}" for number in range(raised))
    store.close()
