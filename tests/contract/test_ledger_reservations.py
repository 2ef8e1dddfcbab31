"""What every ledger does with several budgets at once: all or none, also after a restart."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from farthing.core.budgets_account import Admitted, Claim, Denied, Reservation
from farthing.core.records import Opened
from farthing.errors import EngineBug
from farthing.ledger.budgets import LEASE
from tests.contract.exchanges import (
    COST,
    NOON,
    failed,
    opened,
    released,
    settled,
    unsettled,
)

KEYS = ("everything@day:2026-11-21T00:00Z", "task:t1")


def reservation(name: str = "x1.1", amount: int = 60, limits: tuple[int, ...] = (100, 100)):
    claims = (
        Claim(key=key, limit_pico=limit, worst_pico=amount, likely_pico=amount, budget=key)
        for key, limit in zip(KEYS, limits, strict=False)
    )
    return Reservation(reservation_id=name, claims=tuple(claims))


def intent(exchange_id: str = "x1", *, amount: int = 60, attempt: int = 1) -> Opened:
    return opened(
        exchange_id,
        scope=KEYS[1],
        budget_keys=KEYS,
        reservation_id=f"{exchange_id}.{attempt}",
        hold_pico=amount,
        high_pico=amount,
        attempt=attempt,
    )


def sums(ledger) -> list[tuple[int, int]]:
    return [ledger.spent_and_held(key) for key in KEYS]


def test_all_are_held_or_none(ledger):
    denied = ledger.reserve(reservation(limits=(100, 59)), now=NOON)

    assert isinstance(denied, Denied)
    assert denied.claim.key == KEYS[1]
    assert (denied.standing.limit_pico, denied.standing.room_pico) == (59, 59)
    assert sums(ledger) == [(0, 0), (0, 0)]


def test_the_widest_scope_refuses_first(ledger):
    denied = ledger.reserve(reservation(limits=(59, 59)), now=NOON)

    assert isinstance(denied, Denied)
    assert denied.claim.budget == KEYS[0]


def test_an_admission_says_how_each_budget_stands_with_it(ledger):
    admitted = ledger.reserve(reservation(), now=NOON)

    assert isinstance(admitted, Admitted)
    assert [each.held_pico for each in admitted.standings] == [60, 60]


def test_asking_again_with_the_same_id_holds_once(ledger):
    assert ledger.reserve(reservation(), now=NOON) == ledger.reserve(reservation(), now=NOON)
    assert sums(ledger) == [(0, 60), (0, 60)]
    with pytest.raises(EngineBug, match="other keys"):
        ledger.reserve(reservation(limits=(100,)), now=NOON)


def test_two_budgets_over_the_same_key_hold_once_what_the_larger_asks(ledger):
    ample = Claim(key="k", limit_pico=1_000, worst_pico=50, likely_pico=5, is_ample=True)
    strict = Claim(key="k", limit_pico=1_000, worst_pico=50, likely_pico=50)

    ledger.reserve(Reservation(reservation_id="r", claims=(ample, strict)), now=NOON)

    assert ledger.spent_and_held("k") == (0, 50)


def test_a_settlement_counts_once_in_every_budget_and_ends_every_hold(ledger):
    ledger.reserve(reservation(), now=NOON)
    ledger.open(intent())
    ledger.settle(settled())
    ledger.settle(settled())

    assert sums(ledger) == [(COST.total, 0)] * 2


def test_a_failed_attempt_frees_its_hold_and_the_next_holds_anew(ledger):
    ledger.reserve(reservation(), now=NOON)
    ledger.open(intent())
    ledger.settle(failed())
    assert sums(ledger) == [(0, 0)] * 2

    ledger.reserve(reservation("x1.2"), now=NOON)
    ledger.open(intent(attempt=2))
    assert sums(ledger) == [(0, 60)] * 2
    ledger.settle(settled(attempts=2))
    assert sums(ledger) == [(COST.total, 0)] * 2


def test_an_interval_keeps_its_upper_end_until_it_is_closed(place):
    place.ledger.reserve(reservation(), now=NOON)
    place.ledger.open(intent())
    place.ledger.settle(unsettled(low=5, high=60))

    assert sums(place.restart()) == [(60, 0)] * 2
    place.ledger.settle(settled())
    assert sums(place.ledger) == [(COST.total, 0)] * 2
    assert sums(place.restart()) == [(COST.total, 0)] * 2


def test_a_process_that_dies_between_hold_and_intent_holds_nothing(place):
    place.ledger.reserve(reservation(), now=NOON)

    assert sums(place.restart()) == [(0, 0)] * 2


def test_a_process_that_dies_after_the_intent_holds_until_recovery_and_then_counts_the_worst(place):
    place.ledger.reserve(reservation(), now=NOON)
    place.ledger.open(intent())

    assert sums(place.restart()) == [(0, 60)] * 2
    place.ledger.recover(NOON)
    assert sums(place.ledger) == [(60, 0)] * 2
    place.ledger.recover(NOON)
    assert sums(place.restart()) == [(60, 0)] * 2


def test_a_process_that_dies_after_the_settlement_has_spent_and_holds_nothing(place):
    place.ledger.reserve(reservation(), now=NOON)
    place.ledger.open(intent())
    place.ledger.settle(settled())

    assert sums(place.restart()) == [(COST.total, 0)] * 2


def pass_time(ledger, minutes: float) -> datetime:
    """Calls that ask from time to time, and are refused."""
    now = NOON
    while now < NOON + timedelta(minutes=minutes):
        now += timedelta(seconds=10)
        ledger.reserve(reservation("probe.1", limits=(-1, -1)), now=now)
    return now


def test_a_hold_without_an_intent_ends_with_its_lease(ledger):
    ledger.reserve(reservation(), now=NOON)
    now = pass_time(ledger, LEASE / timedelta(minutes=1))
    assert sums(ledger) == [(0, 60)] * 2

    ledger.reserve(reservation("x2.1", amount=1), now=now + timedelta(seconds=1))
    assert sums(ledger) == [(0, 1)] * 2


def test_an_intent_that_comes_after_its_lease_holds_again(ledger):
    ledger.reserve(reservation(), now=NOON)
    pass_time(ledger, 6)
    assert sums(ledger) == [(0, 0)] * 2
    ledger.open(intent())

    assert sums(ledger) == [(0, 60)] * 2
    pass_time(ledger, 20)
    assert sums(ledger) == [(0, 60)] * 2
    ledger.settle(released())
    assert sums(ledger) == [(0, 0)] * 2


@pytest.mark.parametrize("days", [-3, 3])
def test_a_clock_that_is_set_ends_no_lease(ledger, days: int):
    """Else another call would be let in beside one that is about to be sent."""
    ledger.reserve(reservation(), now=NOON)
    ledger.reserve(reservation("x2.1", amount=1), now=NOON + timedelta(days=days))

    assert sums(ledger) == [(0, 61)] * 2


def test_the_keys_of_an_exchange_come_back_as_they_were(place):
    place.ledger.open(intent())
    place.ledger.settle(settled())

    row = place.restart().row("x1")
    assert row is not None
    assert row.opened.budget_keys == KEYS
