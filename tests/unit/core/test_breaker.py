"""Circuit breakers: storms are refused, nobody else is, and memory has an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.breaker import Breakers
from farthing.core.breaker_circuit import TRANSITIONS
from farthing.core.breaker_values import (
    Allowed,
    BreakerKey,
    BreakerRules,
    OpenCircuit,
    Outcome,
    Refused,
    breaker_keys,
    outcome_kind,
    refusal,
)
from farthing.core.exchange_call import Moment
from farthing.errors import EngineBug
from farthing.wire.envelope import dump_refusal

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = BreakerKey("key", "k1")
CALL = BreakerKey("call", "k1/d1")
OK, FAILED, BUSY, REFUSED = (Outcome(kind=kind) for kind in ("ok", "failed", "busy", "refused"))
RULES = BreakerRules(failures=4, repeats=3, velocity_pico=100)


def at(seconds: float) -> Moment:
    return Moment(NOON + timedelta(seconds=seconds), round(seconds * 10**9) + 10**12)


def tripped(key: BreakerKey = KEY, rules: BreakerRules = RULES) -> Breakers:
    """An open circuit: it opened at second 0."""
    breakers = Breakers(rules)
    for _ in range(rules.repeats if key.kind == "call" else rules.failures):
        breakers.record(key, FAILED, at(0))
    assert breakers.state(key) == "open"
    return breakers


def probe(breakers: Breakers, seconds: float, key: BreakerKey = KEY) -> int:
    allowed = breakers.admit((key,), at(seconds))
    assert isinstance(allowed, Allowed)
    return allowed.probe_of(key)


def test_a_circuit_that_nobody_knows_is_closed_and_lets_pass():
    breakers = Breakers()
    assert breakers.state(KEY) == "closed"
    assert breakers.admit((KEY,), at(0)) == Allowed()
    assert Allowed().probe_of(KEY) == 0


def test_what_is_open_is_shown_as_it_stands():
    breakers = tripped()
    for _ in range(2):
        breakers.admit((KEY,), at(10))
    shown = OpenCircuit(
        key=KEY,
        state="open",
        why="error_storm",
        tries_at=NOON + timedelta(seconds=RULES.cool_seconds),
        refused=2,
        what="",
    )
    assert breakers.open_circuits(at(10)) == [shown]
    assert [each.tries_at for each in breakers.open_circuits(at(100))] == [at(100).at]

    probe(breakers, 100)
    [half] = breakers.open_circuits(at(101))
    assert (half.state, half.tries_at) == (
        "half_open",
        at(100).at + timedelta(seconds=RULES.probe_seconds),
    )
    assert Breakers().open_circuits(at(0)) == []


def test_errors_open_it_at_the_limit_and_not_before():
    breakers = Breakers(RULES)
    changes = [breakers.record(KEY, FAILED, at(second)) for second in range(4)]
    assert changes[:3] == [None, None, None]
    last = changes[3]
    assert last is not None
    assert (last.state, last.why, last.until) == ("open", "error_storm", at(33).at)
    refused = breakers.admit((KEY,), at(4))
    assert isinstance(refused, Refused)
    assert (refused.until, refused.count) == (at(33).at, 1)


def test_errors_among_more_successes_are_no_storm():
    breakers = Breakers(RULES)
    for second in range(20):
        breakers.record(KEY, OK, at(second))
        breakers.record(KEY, OK, at(second))
        assert breakers.record(KEY, FAILED, at(second)) is None


def test_errors_that_are_older_than_the_window_do_not_count():
    breakers = Breakers(RULES)
    for second in (0, 1, 2, 61):
        assert breakers.record(KEY, FAILED, at(second)) is None
    assert breakers.record(KEY, FAILED, at(62)) is None


@pytest.mark.parametrize("outcome", [BUSY, REFUSED])
def test_neither_the_providers_trouble_nor_our_refusals_open_a_keys_circuit(outcome):
    breakers = Breakers(RULES)
    for _ in range(1000):
        assert breakers.record(KEY, outcome, at(0)) is None
    assert breakers.admit((KEY,), at(0)) == Allowed()


def test_spending_opens_it_at_the_limit_and_not_below():
    breakers = Breakers(RULES)
    assert breakers.record(KEY, Outcome(kind="ok", cost_pico=99), at(0)) is None
    change = breakers.record(KEY, Outcome(kind="ok", cost_pico=1), at(49))
    assert change is not None
    assert change.why == "velocity"


def test_without_a_limit_on_speed_no_sum_opens_it():
    breakers = Breakers(BreakerRules())
    assert breakers.record(KEY, Outcome(kind="ok", cost_pico=10**18), at(0)) is None


@pytest.mark.parametrize("outcome", [FAILED, REFUSED])
def test_one_call_sent_again_and_again_is_answered_from_memory(outcome):
    breakers = Breakers(RULES)
    for _ in range(2):
        assert breakers.record(CALL, outcome, at(0)) is None
    change = breakers.record(CALL, outcome, at(0))
    assert change is not None
    assert change.why == "retry_storm"
    for count in range(1, 10_001):
        refused = breakers.admit((CALL,), at(1))
        assert isinstance(refused, Refused)
        assert refused.count == count
    assert len(breakers) == 1
    assert breakers.state(KEY) == "closed"


def test_a_call_without_trouble_needs_no_circuit_and_one_that_recovers_loses_it():
    breakers = Breakers(RULES)
    breakers.record(CALL, OK, at(0))
    breakers.record(CALL, BUSY, at(0))
    assert len(breakers) == 0
    breakers.record(CALL, FAILED, at(0))
    assert len(breakers) == 1
    breakers.record(CALL, BUSY, at(0))
    breakers.record(CALL, OK, at(0))
    assert len(breakers) == 0


def test_after_its_time_one_call_may_try_and_the_others_wait():
    breakers = tripped()
    assert isinstance(breakers.admit((KEY,), at(29.9)), Refused)
    assert probe(breakers, 30) == 1
    assert breakers.state(KEY) == "half_open"
    waiting = breakers.admit((KEY,), at(31))
    assert isinstance(waiting, Refused)
    assert waiting.until == at(630).at


def test_a_probe_that_goes_well_closes_it_and_says_how_many_were_refused():
    breakers = tripped()
    breakers.admit((KEY,), at(1))
    change = breakers.record(KEY, Outcome(kind="ok", probe=probe(breakers, 30)), at(31))
    assert change is not None
    assert (change.state, change.until, change.refused) == ("closed", None, 1)
    assert breakers.admit((KEY,), at(31)) == Allowed()
    assert breakers.open_keys() == []


def test_probes_that_fail_double_the_time_up_to_the_limit():
    breakers = tripped(rules=BreakerRules(failures=1, cool_seconds=10, longest_seconds=25))
    second = 0.0
    for pause in (10, 20, 25, 25):
        assert isinstance(breakers.admit((KEY,), at(second + pause - 0.1)), Refused)
        second += pause
        number = probe(breakers, second)
        change = breakers.record(KEY, Outcome(kind="failed", probe=number), at(second))
        assert change is not None
        assert change.state == "open"


def test_a_probe_that_alone_spends_the_limit_opens_it_again():
    breakers = tripped()
    outcome = Outcome(kind="ok", cost_pico=100, probe=probe(breakers, 30))
    assert breakers.record(KEY, outcome, at(31)) is not None
    assert breakers.state(KEY) == "open"


@pytest.mark.parametrize("kind", ["busy", "refused"])
def test_a_probe_that_says_nothing_lets_the_next_call_try(kind):
    breakers = tripped()
    outcome = Outcome(kind=kind, probe=probe(breakers, 30))
    assert breakers.record(KEY, outcome, at(31)) is None
    assert probe(breakers, 31) == 2


def test_a_refused_probe_of_a_call_that_was_refused_before_opens_it_again():
    breakers = tripped(CALL)
    outcome = Outcome(kind="refused", probe=probe(breakers, 30, CALL))
    assert breakers.record(CALL, outcome, at(30)) is not None
    assert breakers.open_keys() == [CALL]


def test_a_probe_that_never_comes_back_is_given_up_and_its_late_word_does_not_count():
    breakers = tripped()
    first = probe(breakers, 30)
    assert isinstance(breakers.admit((KEY,), at(629)), Refused)
    assert probe(breakers, 630) == 2
    assert breakers.record(KEY, Outcome(kind="ok", probe=first), at(631)) is None
    assert breakers.state(KEY) == "half_open"


def test_calls_that_passed_before_it_opened_neither_close_nor_extend_it():
    breakers = tripped()
    assert breakers.record(KEY, OK, at(1)) is None
    probe(breakers, 30)
    assert breakers.record(KEY, OK, at(31)) is None
    assert breakers.state(KEY) == "half_open"


def test_a_call_passes_all_its_circuits_or_takes_no_probe():
    breakers = tripped()
    for _ in range(3):
        breakers.record(CALL, REFUSED, at(25))
    keys = breaker_keys("k1", None, "d1")
    assert isinstance(breakers.admit(keys, at(31)), Refused)
    assert breakers.state(KEY) == "open"
    allowed = breakers.admit(keys, at(60))
    assert isinstance(allowed, Allowed)
    changes = breakers.ended(keys, allowed, OK, at(61))
    assert [change.state for change in changes] == ["closed", "closed"]
    assert len(breakers) == 0


def test_a_body_sent_again_under_another_key_is_another_call():
    assert breaker_keys("k1", None, "d")[-1] != breaker_keys("k2", None, "d")[-1]
    assert [key.kind for key in breaker_keys("k1", "triage", "d")] == ["key", "task_type", "call"]


def test_closed_circuits_are_forgotten_before_open_ones():
    breakers = Breakers(RULES, capacity=3)
    for _ in range(4):
        breakers.record(KEY, FAILED, at(0))
    for number in range(100):
        breakers.record(BreakerKey("key", f"other{number}"), OK, at(0))
        breakers.record(BreakerKey("call", f"call{number}"), FAILED, at(0))
    assert len(breakers) == 6
    assert breakers.state(KEY) == "open"


def test_where_all_are_open_the_longest_unused_goes():
    breakers = Breakers(BreakerRules(failures=1), capacity=2)
    for name in ("a", "b", "c"):
        breakers.record(BreakerKey("key", name), FAILED, at(0))
    assert breakers.open_keys() == [BreakerKey("key", "b"), BreakerKey("key", "c")]


def test_an_unknown_step_is_a_bug_of_ours():
    breakers = tripped()
    with pytest.raises(EngineBug, match="'open' cannot 'recover'"):
        breakers._scopes[KEY].move("recover")


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (200, None, "ok"),
        (200, "stream_cut", "failed"),
        (200, "invalid_request_error", "failed"),
        (200, "overloaded_error", "busy"),
        (399, None, "ok"),
        (400, "invalid_request_error", "failed"),
        (401, None, "failed"),
        (408, None, "busy"),
        (409, None, "busy"),
        (429, "rate_limit_error", "busy"),
        (499, None, "failed"),
        (500, None, "busy"),
        (529, "overloaded_error", "busy"),
        (None, "upstream.timeout", "busy"),
    ],
)
def test_what_the_provider_asks_to_try_again_is_no_failure(status, error, kind):
    assert outcome_kind(status, error) == kind


@pytest.mark.parametrize("key", [KEY, BreakerKey("task_type", "k1/triage"), CALL])
def test_a_refusal_says_what_why_and_until_when_and_does_not_look_retryable(key):
    breakers = tripped(key)
    refused = breakers.admit((key,), at(5))
    assert isinstance(refused, Refused)
    error = refusal(refused)
    answer = dump_refusal(error)
    assert (answer.status, answer.headers["x-should-retry"]) == (402, "false")
    assert "2026-11-21T12:00:30Z" in str(error)
    assert (error.scope, error.why) == (f"{key.kind}:{key.name}", refused.why)


def test_a_refusal_says_how_the_call_ended_before_but_not_of_what_was_only_dear():
    breakers = Breakers(RULES)
    for _ in range(3):
        breakers.record(CALL, Outcome(kind="refused", what="budget.refused"), at(0))
    refused = breakers.admit((CALL,), at(1))
    assert isinstance(refused, Refused)
    assert "(at last budget.refused)" in str(refusal(refused))
    breakers.record(KEY, Outcome(kind="failed", what="invalid_request_error"), at(0))
    change = breakers.record(KEY, Outcome(kind="ok", cost_pico=100), at(0))
    assert change is not None
    assert (change.why, change.what) == ("velocity", "")


def test_a_storm_of_errors_is_over_when_a_good_answer_begins_and_one_of_spending_is_not():
    breakers = tripped()
    allowed = breakers.admit((KEY,), at(30))
    assert isinstance(allowed, Allowed)
    (change,) = breakers.began(allowed, at(31))
    assert change.state == "closed"
    assert breakers.began(allowed, at(32)) == []
    breakers.record(KEY, Outcome(kind="ok", cost_pico=100), at(40))
    allowed = breakers.admit((KEY,), at(70))
    assert isinstance(allowed, Allowed)
    assert breakers.began(allowed, at(71)) == []
    assert breakers.state(KEY) == "half_open"


def test_a_good_answer_to_a_probe_that_was_given_up_says_nothing():
    breakers = tripped()
    lost = breakers.admit((KEY,), at(30))
    breakers.admit((KEY,), at(630))
    assert isinstance(lost, Allowed)
    assert breakers.began(lost, at(631)) == []


def test_a_circuit_that_nobody_comes_back_to_is_closed_after_a_while():
    breakers = tripped()
    assert breakers.rested(at(30 + 299)) == []
    (change,) = breakers.rested(at(30 + 300))
    assert (change.state, change.key) == ("closed", KEY)
    assert not breakers.is_any_open
    assert len(breakers) == 0


def test_at_the_end_all_circuits_close_and_say_how_many_they_refused():
    breakers = tripped()
    for _ in range(7):
        breakers.admit((KEY,), at(1))
    assert [(one.state, one.refused) for one in breakers.close(at(2))] == [("closed", 7)]
    assert breakers.close(at(2)) == []


BROKE = Outcome(kind="refused", what="budget.refused")


def stopped_by_a_budget(outcome: Outcome = BROKE) -> Breakers:
    breakers = Breakers(RULES)
    breakers.look_behind(None, at(0).at)
    for _ in range(3):
        breakers.record(CALL, outcome, at(0))
    assert isinstance(breakers.admit((CALL,), at(1)), Refused)
    return breakers


@pytest.mark.parametrize(
    "news",
    [
        lambda breakers: breakers.freed(),
        lambda breakers: breakers.look_behind((1,), at(1).at),
        lambda breakers: breakers.look_behind(None, at(900).at),
    ],
    ids=["a call ended that held money", "budgets were changed", "a window began"],
)
def test_what_a_budget_refused_is_tried_once_when_it_may_be_admitted(news):
    breakers = stopped_by_a_budget()
    breakers.look_behind(None, at(2).at)
    assert isinstance(breakers.admit((CALL,), at(2)), Refused)
    news(breakers)
    number = probe(breakers, 2, CALL)
    assert number == 1
    assert isinstance(breakers.admit((CALL,), at(2)), Refused)
    breakers.record(CALL, Outcome(kind="refused", what="budget.refused", probe=number), at(2))
    assert isinstance(breakers.admit((CALL,), at(3)), Refused)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(kind="refused", what="loop.refused"),
        Outcome(kind="failed", what="invalid_request_error"),
    ],
)
def test_what_no_budget_refused_waits_its_time(outcome):
    breakers = stopped_by_a_budget(outcome)
    breakers.freed()
    assert isinstance(breakers.admit((CALL,), at(2)), Refused)


def test_a_call_that_is_refused_here_is_tried_again_each_minute_at_the_latest():
    breakers, second = tripped(CALL), 30.0
    for pause in (60, 60, 60):
        outcome = Outcome(kind="refused", probe=probe(breakers, second, CALL))
        change = breakers.record(CALL, outcome, at(second))
        assert change is not None
        assert change.until == at(second + pause).at
        second += pause


def test_it_is_counted_what_opened_what_is_open_and_what_was_refused():
    breakers = tripped()
    for _ in range(3):
        breakers.record(CALL, REFUSED, at(0))
        breakers.admit((KEY,), at(1))
    assert breakers.opened == {("key", "error_storm"): 1, ("call", "retry_storm"): 1}
    assert breakers.open_now() == {("key", "error_storm"): 1, ("call", "retry_storm"): 1}
    assert breakers.refused == {("key", "error_storm"): 3}
    assert (breakers.open_scopes, breakers.open_calls) == (1, 1)


@given(st.lists(st.tuples(st.sampled_from(["ok", "failed"]), st.integers(0, 20)), max_size=40))
def test_good_calls_count_the_same_on_the_short_way(steps):
    long, short = Breakers(RULES), Breakers(RULES)
    keys, second = breaker_keys("k1", "triage", "d1"), 0
    rules = BreakerRules(failures=3, repeats=3, failed_share=0.5)
    long.rules = short.rules = rules
    for kind, pause in steps:
        second += pause
        long.ended(keys, Allowed(), Outcome(kind=kind), at(second))
        if kind == "ok":
            short.good("k1", "triage", "d1", at(second))
        else:
            short.ended(keys, Allowed(), Outcome(kind=kind), at(second))
        assert short.open_keys() == long.open_keys()
        assert len(short) == len(long)


def test_a_good_call_of_another_body_leaves_a_calls_circuit_alone():
    breakers = Breakers(RULES)
    breakers.record(CALL, FAILED, at(0))
    breakers.good("k1", None, "another", at(0))
    assert len(breakers) == 2
    breakers.good("k1", None, "d1", at(0))
    assert len(breakers) == 1


def test_circuits_that_are_pushed_out_are_open_no_more():
    breakers = Breakers(BreakerRules(repeats=1), capacity=2)
    for name in ("a", "b", "c"):
        breakers.record(BreakerKey("call", name), FAILED, at(0))
    assert breakers.open_calls == 2


STEPS = st.lists(
    st.tuples(
        st.sampled_from([KEY, BreakerKey("key", "k2"), CALL]),
        st.sampled_from(
            ["check", "ok", "failed", "busy", "refused", "probe ok", "probe failed", "rested"]
        ),
        st.integers(0, 40),
        st.integers(0, 60),
    ),
    max_size=60,
)


@given(STEPS)
def test_any_interleaving_keeps_to_the_table_and_has_one_probe_at_most(steps):
    breakers = Breakers(BreakerRules(failures=2, repeats=2, velocity_pico=100, probe_seconds=50))
    second, probes = 0.0, dict[BreakerKey, tuple[int, float]]()
    for key, step, pause, pico in steps:
        second += pause
        before = breakers.state(key)
        if step == "check":
            said = breakers.admit((key,), at(second))
            assert isinstance(said, Allowed) or before != "closed"
            if isinstance(said, Allowed) and (number := said.probe_of(key)):
                _, since = probes.get(key, (0, -999.0))
                assert second - since >= 50, "two probes at a time"
                probes[key] = number, second
        elif step == "rested":
            breakers.rested(at(second))
        else:
            number, _ = probes.pop(key, (0, 0.0)) if step.startswith("probe") else (0, 0.0)
            kind = step.removeprefix("probe ")
            breakers.record(key, Outcome(kind=kind, cost_pico=pico, probe=number), at(second))
        after = breakers.state(key)
        assert after == before or after in TRANSITIONS[before].values()
        assert len(breakers) <= 3
        assert breakers.open_scopes + breakers.open_calls == len(breakers.open_keys())
