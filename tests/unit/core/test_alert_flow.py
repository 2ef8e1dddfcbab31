"""What is told when: urgent at once, the rest gathered, floods held back, nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from farthing.core.alert_flow import FlowLimits, Gathered, Pending, gather
from farthing.core.alerts import Fact, Rule, make_alert

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMITS = FlowLimits(digest_seconds=300, hourly=3, most=4)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def pending(number: int, rule: Rule = "test", seconds: float = 0) -> Pending:
    facts: dict[str, Fact] = {
        "calls": 1,
        "errors": 1,
        "lost_usd": "1",
        "until": "",
        "why": "velocity",
    }
    return Pending(number, make_alert(rule, f"s{number}", at(seconds), facts=facts))


def numbers(found: Gathered) -> list[list[int]]:
    return [[one.number for one in group] for group in found.groups]


def test_nothing_waits_and_nothing_is_due():
    assert gather([], [], NOON, LIMITS) == Gathered()


def test_an_urgent_one_goes_at_once_with_all_of_its_rule_and_the_others_wait():
    waiting = [pending(1, "provider_errors"), pending(2), pending(3, "provider_errors")]
    found = gather(waiting, [], at(1), LIMITS)
    assert numbers(found) == [[1, 3]]
    assert found.due_at == at(300)


def test_the_digest_goes_when_the_oldest_has_waited_and_not_before():
    waiting = [pending(1), pending(2, "savings_negative", 200)]
    assert gather(waiting, [], at(299), LIMITS) == Gathered(due_at=at(300))
    assert numbers(gather(waiting, [], at(300), LIMITS)) == [[1, 2]]


def test_a_clock_that_went_back_tells_at_once():
    assert numbers(gather([pending(1, seconds=5000)], [], at(0), LIMITS)) == [[1]]


def test_beyond_the_hours_messages_everything_waits_until_one_leaves_the_hour():
    told = [at(-3000), at(-200), at(-100)]
    waiting = [pending(1, "provider_errors")]
    assert gather(waiting, told, at(0), LIMITS) == Gathered(due_at=at(600))
    assert numbers(gather(waiting, told, at(600), LIMITS)) == [[1]]


def test_what_is_too_much_for_one_message_follows_in_the_next_ones():
    waiting = [pending(number) for number in range(20)]
    found = gather(waiting, [], at(300), LIMITS)
    assert numbers(found) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert found.due_at == at(300 + 3600)
    held = gather(waiting, [at(-10)], at(300), LIMITS)
    assert held.due_at == at(3590)


@given(
    st.lists(st.tuples(st.sampled_from(["test", "breaker"]), st.integers(0, 900)), max_size=60),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_every_alert_is_told_once_and_no_hour_has_more_messages_than_allowed(raised, hourly, most):
    limits = FlowLimits(digest_seconds=300, hourly=hourly, most=most)
    waiting, told, out, second = list[Pending](), list[datetime](), list[int](), 0.0
    for number, (rule, pause) in enumerate(raised):
        second += pause
        waiting.append(pending(number, rule, second))
        for _ in range(2):
            found = gather(waiting, told, at(second), limits)
            told += [at(second)] * len(found.groups)
            gone = [one for group in found.groups for one in group]
            out += [one.number for one in gone]
            waiting = [one for one in waiting if one not in gone]
    while waiting:
        found = gather(waiting, told, at(second), limits)
        told += [at(second)] * len(found.groups)
        gone = [one for group in found.groups for one in group]
        out += [one.number for one in gone]
        waiting = [one for one in waiting if one not in gone]
        if waiting and not gone:
            assert found.due_at is not None
            assert found.due_at > at(second)
            second = (found.due_at - NOON).total_seconds()
    assert sorted(out) == list(range(len(raised)))
    for start in told:
        assert sum(timedelta(0) <= one - start < timedelta(hours=1) for one in told) <= hourly
