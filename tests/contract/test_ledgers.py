"""What every ledger does with rows; a restart is part of the contract."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from farthing.core.records import (
    TRANSITIONS,
    ExchangeRow,
    Outcome,
    RowFilter,
    Settlement,
    TaskOutcome,
)
from farthing.driver.ports import Ledger
from farthing.errors import EngineBug
from farthing.wire.usage import Usage
from tests.contract.exchanges import (
    COST,
    NOON,
    attribution,
    failed,
    held,
    opened,
    released,
    settled,
    unsettled,
)
from tests.contract.places import hold, room, state

# --- rows -----------------------------------------------------------------------------------------


def test_an_intent_is_a_held_row_at_once(ledger):
    ledger.open(opened())

    assert ledger.row("x1") == ExchangeRow(opened=opened())


def test_a_settled_row_has_everything_that_was_said(ledger):
    ledger.open(opened())
    ledger.settle(settled())

    assert ledger.row("x1") == ExchangeRow(opened=opened(), settlement=settled())


def test_rows_are_the_same_values_after_a_restart(place):
    endings: list[Settlement] = [
        settled("x1"),
        settled("x2", usage=None, cost=None, baseline_pico=None, plan=(), notes=()),
        settled("x3", usage=Usage(), cost=None),
        unsettled("x4", low=3, high=None),
        released("x5"),
        settled("x6", cost=COST.__class__(output=40 * 10**18), baseline_pico=40 * 10**18),
    ]
    for minute, ending in enumerate(endings):
        place.ledger.open(opened(ending.exchange_id, minutes=minute))
        place.ledger.settle(ending)
    before = list(place.ledger.rows(RowFilter()))

    assert [row.settlement for row in before] == endings
    assert list(place.restart().rows(RowFilter())) == before


def test_optional_facts_of_an_intent_may_be_missing(place):
    bare = attribution(parent_task_id=None, task_type=None, session_id=None, agent_id=None)
    intent = opened(attribution=bare, model_asked=None, high_pico=None, is_streamed=False)
    place.ledger.open(intent)

    row = place.restart().row("x1")
    assert row is not None
    assert row.opened == intent


def test_an_instant_is_the_same_whatever_zone_it_was_said_in(place):
    local = datetime(2026, 11, 21, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    place.ledger.open(opened(opened_at=local))

    row = place.restart().row("x1")
    assert row is not None
    assert row.opened.opened_at == local
    assert list(place.ledger.rows(RowFilter(opened_from=local))) == [row]


def test_an_unknown_exchange_has_no_row(ledger):
    assert ledger.row("nobody") is None


def test_rows_come_in_the_order_they_were_opened(ledger):
    for name, minute in (("b", 2), ("a", 3), ("c", 1)):
        ledger.open(opened(name, minutes=minute))

    assert [row.opened.exchange_id for row in ledger.rows(RowFilter())] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (RowFilter(), ["a", "b", "c"]),
        (RowFilter(opened_from=NOON + timedelta(minutes=1)), ["b", "c"]),
        (RowFilter(opened_until=NOON + timedelta(minutes=1)), ["a"]),
        (RowFilter(task_id="other"), ["c"]),
        (RowFilter(states=("settled",)), ["b"]),
        (RowFilter(states=("settled", "held")), ["a", "b", "c"]),
        (RowFilter(states=("expired",)), []),
        (RowFilter(limit=2), ["a", "b"]),
        (RowFilter(limit=0), []),
        (RowFilter(task_id="t1", states=("held",), limit=5), ["a"]),
    ],
)
def test_rows_can_be_chosen(ledger, where, names):
    ledger.open(opened("a"))
    ledger.open(opened("b", minutes=1))
    ledger.open(opened("c", minutes=2, attribution=attribution(task_id="other")))
    ledger.settle(settled("b"))

    assert [row.opened.exchange_id for row in ledger.rows(where)] == names


# --- exactly once ---------------------------------------------------------------------------------


def test_settling_twice_counts_once(ledger):
    ledger.open(held(amount=100))
    hold(ledger, 100, 1_000)

    ledger.settle(settled())
    ledger.settle(settled())

    assert room(ledger) == (COST.total, 0)


def test_the_first_ending_stands_against_a_later_release(place):
    place.ledger.open(opened())
    place.ledger.settle(settled())
    place.ledger.settle(released())

    assert state(place.restart()) == "settled"


def test_settling_again_after_a_restart_changes_nothing(place):
    place.ledger.open(held(amount=100))
    place.ledger.settle(settled())

    ledger = place.restart()
    ledger.settle(settled(ended_at=NOON + timedelta(hours=1)))

    assert ledger.row("x1").settlement == settled()
    assert room(ledger)[0] == COST.total


def test_results_of_a_batch_read_twice_are_booked_once(place):
    item = held("batch-1/item-1", amount=100, endpoint="batch_item")
    for _ in range(2):
        place.ledger.open(item)
        place.ledger.settle(settled(item.exchange_id))
    ledger = place.restart()
    ledger.open(item)
    ledger.settle(settled(item.exchange_id))

    assert len(list(ledger.rows(RowFilter()))) == 1
    assert room(ledger) == (COST.total, 0)


def test_opening_the_same_attempt_twice_is_opening_it_once(ledger):
    ledger.open(opened())
    ledger.open(opened(minutes=5))

    assert ledger.row("x1") == ExchangeRow(opened=opened())


def test_an_ending_without_an_intent_is_our_bug(ledger):
    with pytest.raises(EngineBug, match="'x1' ends without an intent"):
        ledger.settle(settled())

    assert ledger.row("x1") is None


def test_an_interval_is_closed_by_the_cost_found_later(place):
    place.ledger.open(held(amount=900))
    place.ledger.settle(unsettled(low=5, high=900))
    assert room(place.ledger) == (900, 0)

    ledger = place.restart()
    ledger.settle(settled())

    assert ledger.row("x1").settlement == settled()
    assert room(ledger) == (COST.total, 0)


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (settled(), unsettled(low=0, high=1), "settled"),
        (released(), settled(), "released"),
        (unsettled(low=0, high=1), released(), "unsettled"),
        (unsettled(low=0, high=1), unsettled(low=1, high=1), "unsettled"),
    ],
    ids=["settled", "released", "unsettled", "interval"],
)
def test_a_step_that_the_table_does_not_have_changes_nothing(ledger, first, second, stands):
    ledger.open(opened())
    ledger.settle(first)
    ledger.settle(second)

    assert ledger.row("x1").settlement == first
    assert state(ledger) == stands


# --- attempts -------------------------------------------------------------------------------------


def test_a_later_attempt_opens_the_exchange_again_and_its_ending_stands(place):
    place.ledger.open(opened())
    place.ledger.settle(failed())
    place.ledger.open(opened(attempt=2))
    assert state(place.ledger) == "held"
    place.ledger.settle(settled(attempts=2))

    rows = list(place.restart().rows(RowFilter()))
    assert [row.settlement for row in rows] == [settled(attempts=2)]


def test_the_ending_of_an_earlier_attempt_does_not_end_a_later_one(ledger):
    ledger.open(opened())
    ledger.settle(failed())
    ledger.open(opened(attempt=2))

    ledger.settle(failed())

    assert state(ledger) == "held"


def test_what_was_sent_and_lost_is_not_tried_again_in_the_same_exchange(ledger):
    assert "retry" not in TRANSITIONS["unsettled"]
    ledger.open(opened())
    ledger.settle(unsettled(low=0, high=9))

    ledger.open(opened(attempt=2))

    assert state(ledger) == "unsettled"


def test_only_the_attempt_that_cost_something_is_charged(place):
    place.ledger.open(held(amount=100))
    place.ledger.settle(failed())
    place.restart().open(held(amount=100, attempt=2))
    place.ledger.settle(settled(attempts=2))

    assert room(place.restart()) == (COST.total, 0)


# --- outcomes -------------------------------------------------------------------------------------


def test_an_outcome_is_seen_on_every_row_of_its_task_and_the_last_word_counts(place):
    for name in ("a", "b"):
        place.ledger.open(opened(name))
    place.ledger.outcome("t1", Outcome(outcome="failed"))
    place.ledger.outcome("t1", Outcome(outcome="passed", score=0.75))
    expected: list[tuple[TaskOutcome, float]] = [("passed", 0.75)] * 2

    def judged(ledger: Ledger) -> list[tuple[TaskOutcome | None, float | None]]:
        return [(row.outcome, row.score) for row in ledger.rows(RowFilter())]

    assert judged(place.ledger) == expected
    assert place.ledger.row("a").outcome == "passed"
    assert judged(place.restart()) == expected
    assert place.ledger.row("a").score == 0.75


def test_an_outcome_may_come_before_the_first_row_of_its_task(ledger):
    ledger.outcome("t1", Outcome(outcome="abandoned"))
    ledger.open(opened())

    assert ledger.row("x1").outcome == "abandoned"


# --- recovery -------------------------------------------------------------------------------------


def test_what_a_dead_process_left_open_becomes_an_interval_up_to_its_worst(place):
    place.ledger.open(held(amount=100, high_pico=90))
    later = NOON + timedelta(hours=1)

    report = place.restart().recover(later)

    row = place.ledger.row("x1")
    assert (report.unsettled, report.exchange_ids) == (1, ("x1",))
    assert row.settlement == unsettled(low=0, high=90, ended_at=later, notes=("ledger.recovered",))
    assert room(place.ledger) == (90, 0)


def test_recovery_leaves_alone_what_this_process_has_open(place):
    place.ledger.open(opened("old"))
    ledger = place.restart()
    ledger.open(opened("new"))

    ledger.recover(NOON)

    assert (state(ledger, "old"), state(ledger, "new")) == ("unsettled", "held")


def test_recovering_twice_recovers_once(place):
    place.ledger.open(opened())
    ledger = place.restart()

    assert [ledger.recover(NOON).unsettled for _ in range(2)] == [1, 0]
    assert place.restart().recover(NOON).unsettled == 0


def test_what_ended_is_not_touched_by_recovery(place):
    place.ledger.open(opened())
    place.ledger.settle(settled())

    assert place.restart().recover(NOON).unsettled == 0
    assert state(place.ledger) == "settled"


def test_closing_twice_is_harmless(place):
    place.ledger.close()
    place.ledger.close()
