from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.records import ExchangeRow, Outcome
from farthing.ledger.changes import Change, changed, charge, dump_change, parse_change
from tests.contract.exchanges import COST, failed, held, opened, settled, unsettled

CHANGES = [
    Change(opened=opened()),
    Change(opened=held(amount=10**25)),
    Change(settlement=settled()),
    Change(settlement=unsettled(low=0, high=None)),
    Change(task_id="t1", outcome=Outcome(outcome="passed", score=0.5)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_one_line_and_comes_back(change):
    line = dump_change(change)

    assert line.count(b"\n") == 1
    assert parse_change(line[:-1]) == change


@given(cut=st.integers(1, 400))
def test_a_line_cut_anywhere_says_nothing(cut):
    line = dump_change(CHANGES[0])[:-1]

    assert parse_change(line[: -min(cut, len(line))]) is None


@pytest.mark.parametrize("line", [b"", b"\xff", b"[]", b"null", b'{"opened": 3}'])
def test_what_is_no_change_says_nothing(line):
    assert parse_change(line) is None


def test_an_ending_alone_makes_no_row():
    assert changed(None, Change(settlement=settled())) is None


def test_a_change_that_says_nothing_new_gives_the_very_same_row():
    row = ExchangeRow(opened=opened(), settlement=settled())

    for change in (Change(opened=opened()), Change(settlement=settled()), Change()):
        assert changed(row, change) is row


@pytest.mark.parametrize(("attempt", "state"), [(1, "settled"), (2, "held")])
def test_only_a_later_attempt_opens_again(attempt, state):
    row = ExchangeRow(opened=opened(), settlement=failed())

    after = changed(row, Change(opened=opened(attempt=attempt)))

    assert after is not None
    assert after.state == state


@pytest.mark.parametrize(
    ("ending", "amount"),
    [
        (None, 0),
        (settled(), COST.total),
        (settled(cost=None), 0),
        (unsettled(low=1, high=7), 7),
        (unsettled(low=1, high=None), 50),
        (unsettled(low=1, high=None, state="released"), 0),
        (unsettled(low=1, high=None, state="expired"), 0),
    ],
)
def test_what_an_exchange_counts_for_in_its_budget(ending, amount):
    assert charge(ExchangeRow(opened=held(amount=50), settlement=ending)) == amount
