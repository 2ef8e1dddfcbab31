"""What every ledger does with budgets: exact, atomic, and still so after a restart."""

from __future__ import annotations

import threading

import pytest

from farthing.core.records import (
    Held,
    Refused,
)
from farthing.errors import EngineBug
from tests.contract.exchanges import (
    COST,
    SCOPE,
    held,
    settled,
    unsettled,
)
from tests.contract.places import hold, room


@pytest.mark.parametrize(("amount", "kind"), [(60, Held), (61, Refused)])
def test_spent_and_held_and_asked_may_reach_the_cap_and_not_pass_it(ledger, amount, kind):
    ledger.open(held(amount=50))
    hold(ledger, 50, 100)
    ledger.settle(settled(cost=COST.__class__(output=20)))
    hold(ledger, 20, 100, reservation="r-2")

    assert isinstance(hold(ledger, amount, 100, reservation="r-3"), kind)


def test_a_refusal_says_what_is_spent_and_held_and_was_asked(ledger):
    hold(ledger, 70, 100)

    assert hold(ledger, 31, 100, reservation="r-2") == Refused(
        scope=SCOPE, limit_pico=100, spent_pico=0, held_pico=70, asked_pico=31
    )


def test_a_released_hold_is_free_again_and_may_be_released_twice(ledger):
    hold(ledger, 100, 100)
    ledger.release("r-x1")
    ledger.release("r-x1")
    ledger.release("unknown")

    assert hold(ledger, 100, 100, reservation="r-2") == Held(reservation_id="r-2", amount_pico=100)


def test_asking_again_with_the_same_id_holds_once(ledger):
    assert hold(ledger, 60, 100) == hold(ledger, 60, 100)
    assert room(ledger) == (0, 60)


def test_one_id_cannot_hold_in_two_scopes(ledger):
    hold(ledger, 60, 100)

    with pytest.raises(EngineBug, match="'r-x1'"):
        hold(ledger, 60, 100, scope="task:other")


def test_scopes_do_not_see_one_another(ledger):
    hold(ledger, 100, 100)

    assert isinstance(hold(ledger, 100, 100, reservation="r-2", scope="task:other"), Held)


def test_spending_and_holds_survive_a_restart(place):
    place.ledger.open(held("x1", amount=100))
    place.ledger.settle(settled("x1"))
    hold(place.ledger, 70, 1_000, reservation="r-x2")
    place.ledger.open(held("x2", amount=70))
    hold(place.ledger, 30, 1_000, reservation="never opened")

    assert room(place.restart()) == (COST.total, 70)


def test_an_interval_counts_with_its_upper_end_and_without_one_with_what_was_held(ledger):
    ledger.open(held("x1", amount=100))
    ledger.settle(unsettled("x1", low=5, high=40))
    ledger.open(held("x2", amount=100))
    ledger.settle(unsettled("x2", low=5, high=None))

    assert room(ledger) == (140, 0)


def test_what_has_no_price_spends_nothing_and_frees_its_hold(ledger):
    hold(ledger, 100, 100)
    ledger.open(held(amount=100))
    ledger.settle(settled(cost=None))

    assert room(ledger) == (0, 0)


def test_threads_that_ask_together_never_pass_the_cap(ledger):
    answers = list[Held | Refused]()
    threads = [
        threading.Thread(
            target=lambda n=n: answers.append(hold(ledger, 30, 100, reservation=f"r{n}"))
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(answer, Held) for answer in answers) == 3
