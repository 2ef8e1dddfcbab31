"""Any history of calls and restarts: every ledger gives the same answers."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.records import (
    RowFilter,
)
from farthing.errors import EngineBug
from tests.contract.exchanges import (
    COST,
    NOON,
    failed,
    held,
    settled,
    unsettled,
)
from tests.contract.places import Place, hold, memory, room, sqlite

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("fail"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("settle"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("lose"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("hold"), st.integers(0, 2), st.integers(1, 60)),
        st.tuples(st.just("release"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


def act(place: Place, step: tuple[str, int, int]) -> object:
    verb, number, argument = step
    name, ledger = f"x{number}", place.ledger
    try:
        match verb:
            case "open":
                # Ids are minted once; only those of batch results come back as a first attempt.
                ledger.open(held(name, amount=50, attempt=argument, endpoint="batch_item"))
            case "fail":
                ledger.settle(failed(name, attempts=argument))
            case "settle":
                ledger.settle(settled(name, attempts=argument))
            case "lose":
                ledger.settle(unsettled(name, low=1, high=40, attempts=argument))
            case "hold":
                return hold(ledger, argument, 100, reservation=f"r-{name}")
            case "release":
                ledger.release(f"r-{name}")
            case _:
                place.restart().recover(NOON)
    except EngineBug as error:
        return str(error)
    return None


@given(steps=STEPS)
def test_every_ledger_answers_any_history_alike(tmp_path_factory, steps):
    first = Place(memory)
    second = Place(sqlite(tmp_path_factory.mktemp("ledger")))
    try:
        for step in steps:
            assert act(second, step) == act(first, step)
            assert room(second.ledger) == room(first.ledger)
        everything = [list(place.ledger.rows(RowFilter())) for place in (first, second)]
        assert everything[1] == everything[0]
    finally:
        second.ledger.close()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_three_exchanges_may_end_in_any_order(ledger, order):
    for number in range(3):
        ledger.open(held(f"x{number}", amount=10))
    for number in order:
        ledger.settle(settled(f"x{number}"))

    assert room(ledger) == (3 * COST.total, 0)
