"""The rules of alerts: what begins is said once, what ends is said once, the rest is silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from farthing.core.alert_rules import AlertLimits, AlertRules, BudgetFact, LoopFact
from farthing.core.alert_windows import WindowLimits
from farthing.core.alerts import (
    RULES,
    Alert,
    Message,
    Rule,
    dedup_key_of,
    make_alert,
    parse_alert,
    parse_message,
)
from farthing.core.batches import KnownBatch
from farthing.core.breaker_values import BreakerKey, Change
from farthing.core.comparison import MEASURES, Compared
from farthing.core.records import Accounting, ExchangeRow
from farthing.core.regressions import Rise
from farthing.core.rolling import Rolling
from farthing.errors import LedgerError
from farthing.pricing.money import Cost
from farthing.wire.usage import Usage
from tests.contract.exchanges import opened, settled

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
USD = 10**12


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def rules(**limits: Any) -> AlertRules:
    return AlertRules(AlertLimits(windows=WindowLimits(least_calls=4, **limits)), since=NOON)


def said(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(alert.rule, alert.state) for alert in alerts]


def row(*, task_type: str | None = "triage", endpoint: str = "messages", **ending: Any):
    who = replace(opened().attribution, task_type=task_type)
    values: dict[str, Any] = {
        "usage": Usage(uncached=100, output=1),
        "baseline_pico": None,
        "accounting": None,
    }
    settlement = replace(settled(), **(values | ending))
    return ExchangeRow(
        opened=replace(opened(), attribution=who, endpoint=endpoint), settlement=settlement
    )


def cost(pico: int) -> Cost:
    return replace_cost(settled().cost, pico)


def replace_cost(like: Cost | None, pico: int) -> Cost:
    assert like is not None
    parts = {name: 0 for name in like.__struct_fields__ if name != "more"}
    return type(like)(**(parts | {"uncached": pico}))


def budget(spent: int, *, limit: int = 100, hours: float = 0, **more: Any) -> BudgetFact:
    return BudgetFact(
        scope="key:k1 per day",
        at=at(hours),
        limit_pico=limit * USD,
        spent_pico=spent * USD,
        **more,
    )


# -- budgets


def test_a_budget_says_each_threshold_once_and_when_it_has_room_again():
    machine = rules()
    steps = [machine.budget(budget(spent)) for spent in (49, 50, 79, 80, 81, 100, 120, 60, 10)]
    percents = [[alert.facts["percent"] for alert in found] for found in steps]
    assert percents == [[], [50], [], [80], [], [100], [], [], [100]]
    assert [alert.severity for found in steps for alert in found][:3] == [
        "warning",
        "warning",
        "error",
    ]
    assert said(steps[-1]) == [("budget", "resolved")]
    assert "$50 of $100 (50 %)" in steps[1][0].summary


def test_a_budget_of_one_task_says_each_step_once_and_fires_no_longer_than_that():
    """Nobody hears of a task that is over: an incident about it would stay open for ever."""
    machine = rules()
    steps = [
        machine.budget(budget(spent, hours=spent, is_passing=True))
        for spent in (49, 50, 79, 80, 81, 100, 120)
    ]
    refused = [machine.budget(budget(20, is_passing=True, is_refused=True)) for _ in range(3)]
    raised = machine.budget(budget(120, limit=200, is_passing=True))

    assert [[one.facts["percent"] for one in found] for found in steps] == [
        [], [50], [], [80], [], [100], []
    ]  # fmt: skip
    assert [len(found) for found in refused] == [1, 0, 0]
    assert [one.facts["percent"] for one in raised] == [50]
    assert machine.firing == []


def test_a_budget_that_passes_several_thresholds_at_once_says_the_highest():
    (alert,) = rules().budget(budget(99))
    assert alert.facts["percent"] == 80


def test_a_forecast_is_said_when_the_money_ends_before_the_window():
    machine = rules()
    inside, outside = at(10), at(30)
    early: dict[str, Any] = {"resets_at": at(24), "runs_out_at": inside}
    assert said(machine.budget(budget(1, **early))) == [("budget_forecast", "firing")]
    assert machine.budget(budget(2, **early)) == []
    late: dict[str, Any] = {"resets_at": at(24), "runs_out_at": outside}
    (over,) = machine.budget(budget(2, **late))
    assert over.state == "resolved"
    assert "by Saturday 2026-11-21 22:00 UTC" in over.summary


def test_a_budget_without_an_end_is_forecast_too_and_a_spent_one_no_more():
    machine = rules()
    assert said(machine.budget(budget(1, runs_out_at=at(10)))) == [("budget_forecast", "firing")]
    over = machine.budget(budget(100, runs_out_at=at(10)))
    assert said(over) == [("budget", "firing"), ("budget_forecast", "resolved")]


def test_a_budget_may_have_thresholds_of_its_own():
    machine = rules()
    steps = [machine.budget(budget(spent, percents=(7, 90))) for spent in (6, 7, 8, 50, 91)]
    assert [[alert.facts["percent"] for alert in found] for found in steps] == [
        [],
        [7],
        [],
        [50],
        [90],
    ]


def test_a_budget_that_refuses_is_said_once_and_ends_when_it_begins_anew():
    machine = rules()
    (first,) = machine.budget(budget(30, is_refused=True))
    assert (first.severity, "(0 %), and refuses calls" in first.summary) == ("error", True)
    assert machine.budget(budget(31)) == []
    assert machine.budget(budget(32, is_refused=True)) == []
    assert [alert.facts["percent"] for alert in machine.budget(budget(50))] == [50]
    assert len(machine.budget(budget(50, is_refused=True))) == 1
    assert said(machine.budget(budget(0))) == [("budget", "resolved")]


def test_a_budget_that_refused_is_over_when_it_is_raised():
    machine = rules()
    machine.budget(budget(30, is_refused=True))
    assert machine.budget(budget(31)) == []

    assert said(machine.budget(budget(31, limit=1_000))) == [("budget", "resolved")]


# -- what happens and does not end


def test_a_loop_is_said_once_an_hour_and_again_when_it_is_stopped():
    machine = rules()

    def loop(hours: float, *, stopped: bool = False) -> list[Alert]:
        what = "read_file"
        return machine.loop(
            LoopFact(scope="task:t1", at=at(hours), what=what, repeats=3, is_stopped=stopped)
        )

    assert said(loop(0)) == [("loop", "firing")]
    assert loop(0.9) == []
    (stopped,) = loop(0.9, stopped=True)
    assert stopped.severity == "error"
    assert len(loop(1)) == 1
    assert machine.firing == []


def test_circuits_of_a_process_that_is_gone_are_over():
    key = BreakerKey("key", "k1")
    change = Change(key=key, state="open", why="velocity", at=NOON, until=NOON)
    (firing,) = AlertRules(since=NOON).breaker(change)
    again = AlertRules(since=NOON, firing=[firing])
    assert said(again.restarted(NOON)) == [("breaker", "resolved")]
    assert again.restarted(NOON) == []


def test_a_breaker_is_said_when_it_opens_and_when_it_closes_not_when_it_reopens():
    machine = rules()
    change = Change(
        key=BreakerKey("key", "k1"), state="open", why="velocity", at=NOON, until=at(1), refused=0
    )
    (opened_,) = machine.breaker(change)
    assert (opened_.severity, opened_.scope) == ("error", "key:k1")
    assert machine.breaker(change) == []
    closed = Change(key=change.key, state="closed", why="velocity", at=at(1), until=None, refused=9)
    assert said(machine.breaker(closed)) == [("breaker", "resolved")]
    call = Change(key=BreakerKey("call", "c"), state="open", why="velocity", at=NOON, until=at(1))
    assert machine.breaker(call)[0].severity == "warning"


def batch(**given: Any) -> KnownBatch:
    return KnownBatch(
        batch_id="msgbatch_1",
        created_at=NOON,
        attribution=opened().attribution,
        exchange_id="x1",
        **given,
    )


def test_a_batch_is_said_when_it_gets_old_and_when_it_ends():
    machine = rules()
    assert machine.batches([batch()], at(21.9)) == []
    assert said(machine.batches([batch()], at(22))) == [("batch_expiring", "firing")]
    assert machine.batches([batch()], at(23)) == []
    ended = batch(ending="booked", ended_at=at(23))
    over = machine.batches([ended], at(23))
    assert said(over) == [("batch_expiring", "resolved"), ("batch_ended", "firing")]
    assert machine.batches([ended], at(23.5)) == []
    assert machine.batches([ended], at(300)) == []


def test_a_lost_batch_is_an_error_and_what_ended_before_this_process_is_old_news():
    lost = batch(ending="lost", ended_at=at(1))
    (alert,) = rules().batches([lost], at(1))
    assert (alert.rule, alert.severity) == ("batch_failed", "error")
    assert AlertRules(since=at(2)).batches([lost], at(2)) == []


def rise(verdict: Any) -> Rise:
    compared = Compared(measure=MEASURES[0], a=0.5, b=None, change=None, verdict=verdict)
    return Rise(task_type="triage", compared=compared, confidence=0.95)


def test_a_task_type_that_became_dearer_is_said_until_it_has_not():
    machine = rules()
    (alert,) = machine.rises([rise("regression")], NOON)
    assert "from 0.5 to unknown" in alert.summary
    assert machine.rises([rise("regression")], NOON) == []
    over = machine.rises([rise("unclear")], NOON)
    assert said(over) == [("cost_per_passed_task", "resolved")]
    assert machine.rises([rise("unclear")], NOON) == []


# -- what calls add up to


def feed(machine: AlertRules, count: int, hours: float = 0, **ending: Any) -> list[Alert]:
    return [alert for _ in range(count) for alert in machine.call(row(**ending), at(hours))]


def test_a_model_without_a_price_is_said_once_and_again_when_it_has_one():
    machine = rules()
    found = feed(machine, 3, cost=None, model_served="claude-new")
    assert said(found) == [("unpriced_model", "firing")]
    assert "claude-new has no price" in found[0].summary
    assert said(feed(machine, 2, model_served="claude-new")) == [("unpriced_model", "resolved")]


def test_errors_of_the_provider_ring_at_their_share_and_end_at_half_of_it():
    machine = rules(error_percent=50)
    bad: dict[str, Any] = {
        "http_status": 529,
        "error_type": "overloaded_error",
        "usage": None,
        "cost": None,
    }
    assert feed(machine, 3, **bad) == []
    assert said(feed(machine, 1, **bad)) == [("provider_errors", "firing")]
    assert feed(machine, 12) == []
    assert said(feed(machine, 1)) == [("provider_errors", "resolved")]


@pytest.mark.parametrize(
    ("ending", "rings"),
    [
        ({"http_status": None, "error_type": "upstream.unreachable"}, True),
        ({"http_status": None, "error_type": None, "state": "unsettled"}, False),
        ({"http_status": 429, "error_type": "rate_limit_error"}, False),
        ({"http_status": 400, "error_type": "invalid_request_error"}, False),
    ],
)
def test_what_counts_as_the_providers_error(ending, rings):
    found = feed(rules(), 4, usage=None, cost=None, **ending)
    assert [alert.rule for alert in found] == (["provider_errors"] if rings else [])


def test_a_hit_rate_that_falls_is_said_and_ends_when_it_is_back():
    machine = rules(hit_rate_points=20)
    warm = Usage(uncached=10, cache_read=90, output=1)
    cold = Usage(uncached=100, output=1)
    assert feed(machine, 4, 0, usage=warm) == []
    assert feed(machine, 4, 3, usage=warm) == []
    found = feed(machine, 8, 3, usage=cold)
    assert said(found) == [("cache_hit_rate", "firing")]
    assert "of prompt tokens read from the cache, 90 % before" in found[0].summary
    assert said(feed(machine, 100, 3, usage=warm)) == [("cache_hit_rate", "resolved")]


def test_prompts_without_tokens_have_no_hit_rate():
    machine = rules()
    empty = Usage(output=1)
    assert feed(machine, 5, 0, usage=empty) + feed(machine, 5, 3, usage=empty) == []


def test_savings_below_zero_are_said_per_task_type_and_end_at_zero():
    machine = rules(loss_percent=10)
    dear: dict[str, Any] = {"cost": cost(12 * USD), "baseline_pico": 10 * USD}
    found = feed(machine, 5, **dear)
    assert said(found) == [("savings_negative", "firing")]
    assert "farthing cost $8 more than it saved in a day, 4 calls" in found[0].summary
    assert feed(machine, 4, cost=cost(9 * USD), baseline_pico=10 * USD) == []
    over = feed(machine, 20, cost=cost(9 * USD), baseline_pico=10 * USD)
    assert said(over) == [("savings_negative", "resolved")]


def test_our_own_calls_count_against_the_savings():
    even = Accounting(baseline_pico=10 * USD, own_cost_pico=2 * USD)
    found = feed(rules(loss_percent=10), 4, cost=cost(10 * USD), accounting=even)
    assert said(found) == [("savings_negative", "firing")]


def test_only_calls_that_ended_with_a_usage_are_looked_at():
    machine = rules()
    assert machine.call(ExchangeRow(opened=opened()), NOON) == []
    assert feed(machine, 9, endpoint="count_tokens", http_status=500, cost=None) == []
    batch_rows = feed(machine, 9, endpoint="batch_item", task_type=None, cost=None)
    assert said(batch_rows) == [("unpriced_model", "firing")]


# -- memory


def test_what_fired_before_a_restart_is_not_said_again_and_ends_once():
    before = rules()
    first = before.budget(budget(60))
    after = AlertRules(since=at(1), firing=before.firing)
    assert after.budget(budget(60)) == []
    (over,) = after.budget(budget(0))
    assert over.dedup_key == first[0].dedup_key


def test_memory_is_bounded_whatever_scopes_come(monkeypatch):
    monkeypatch.setattr("farthing.core.alert_rules._MOST", 3)
    monkeypatch.setattr("farthing.core.alert_windows._WORKLOADS", 3)
    machine = rules()
    for number in range(9):
        feed(machine, 1, task_type=f"t{number}", cost=None, model_served=f"m{number}")
        fact = LoopFact(scope=f"t{number}", at=NOON, what="x", repeats=3, is_stopped=False)
        machine.loop(fact)
    assert (len(machine.firing), len(machine._said), len(machine._windows._hits)) == (3, 3, 3)


def test_rolling_sums_forget_and_a_clock_that_goes_back_counts_as_now():
    rolling = Rolling(seconds=60, buckets=3, fields=2)
    rolling.add(NOON, 1, 10)
    rolling.add(NOON + timedelta(minutes=2), 2, 20)
    rolling.add(NOON + timedelta(minutes=1), 4, 40)
    assert rolling.sums(NOON + timedelta(minutes=2)) == [7, 70]
    assert rolling.sums(NOON + timedelta(minutes=2), 0, 0) == [6, 60]
    assert rolling.sums(NOON + timedelta(minutes=3)) == [6, 60]
    assert rolling.sums(NOON + timedelta(minutes=9)) == [0, 0]


# -- the alerts themselves


def test_every_rule_has_words_and_a_severity():
    assert set(RULES) == set(get_args(Rule))


def test_a_dedup_key_fits_a_pager_whatever_the_scope():
    assert dedup_key_of("budget", "task:t1") == "farthing/budget/task:t1"
    assert len(dedup_key_of("budget", "ä" * 200).encode()) <= 255


def test_keys_in_names_are_masked():
    secret = "sk-ant-api03-abcdefgh12345678"
    alert = make_alert("unpriced_model", f"model {secret}", NOON, facts={"x": secret, "y": 1})
    assert "sk-ant" not in repr(alert)
    assert "sk-ant" not in dedup_key_of("unpriced_model", f"model {secret}")


@pytest.mark.parametrize("parse", [parse_alert, parse_message])
def test_what_is_no_alert_is_said_to_be_unreadable(parse):
    with pytest.raises(LedgerError, match="cannot be read"):
        parse("{}")


def test_a_test_alert_does_not_end():
    alert = make_alert("test", "x", NOON, facts={})
    assert not alert.ends
    assert Message(message_id="m", alerts=(alert,)).alerts == (alert,)
