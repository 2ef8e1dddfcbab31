"""One account: who is let in, by its mode, and that it never holds less than nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from farthing.core.budgets_account import Account, Claim


def claim(worst: int, *, limit: int = 100, likely: int | None = None, **given: Any) -> Claim:
    return Claim(
        key="k",
        limit_pico=limit,
        worst_pico=worst,
        likely_pico=worst if likely is None else likely,
        **given,
    )


@pytest.mark.parametrize(("worst", "held"), [(30, 30), (31, None)])
def test_strict_holds_the_worst_case_as_long_as_it_fits(worst: int, held: int | None):
    account = Account(spent_pico=50)
    account.hold("a", 20, 20)

    assert account.asked(claim(worst, likely=1)) == held


def test_ample_holds_the_likely_cost_while_there_is_head_room():
    account = Account()

    # 1.5 × one call × 60 = 90 fits into 90, not into 89
    assert account.asked(claim(60, limit=90, likely=10, is_ample=True)) == 10
    assert account.asked(claim(60, limit=89, likely=10, is_ample=True)) == 60


def test_near_the_end_every_hold_is_brought_up_to_its_worst_case():
    account = Account()
    account.hold("a", 10, 40)
    account.hold("b", 20, 20)

    assert account.asked(claim(40, limit=100, likely=1, is_ample=True)) == 40
    assert (account.held_pico, account.held_for("a"), account.held_for("c")) == (60, 40, None)
    assert account.asked(claim(41, limit=100, likely=1, is_ample=True)) is None


def test_the_dearest_call_counts_until_nothing_is_under_way():
    account = Account()
    account.hold("a", 1, 1)
    account.hold("b", 60, 60)
    account.release("b")
    account.release("b")

    assert account.asked(claim(10, limit=180, likely=2, is_ample=True)) == 10
    account.release("a")
    assert account.asked(claim(10, limit=180, likely=2, is_ample=True)) == 2
    assert account.is_idle


def test_a_standing_says_what_another_call_may_ask_for():
    account = Account(spent_pico=90)
    account.hold("a", 20, 20)

    assert account.standing("k", 100).room_pico == 0
    assert account.standing("k", 150).room_pico == 40


class Calls(RuleBasedStateMachine):
    """Calls begin, end and are lost in any order, strict and ample, under one limit."""

    LIMIT = 1_000
    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()
        self.number = 0
        self.worsts: dict[str, int] = {}
        self.true_spent = 0

    @rule(
        target=under_way,
        worst=st.integers(0, 300),
        share=st.integers(0, 100),
        is_ample=st.booleans(),
    )
    def begin(self, worst: int, share: int, is_ample: bool) -> str:
        asked = claim(worst, limit=self.LIMIT, likely=worst * share // 100, is_ample=is_ample)
        amount = self.account.asked(asked)
        name = f"r{self.number}"
        self.number += 1
        if amount is None:
            fits = self.account.spent_pico + self.account.held_pico + worst <= self.LIMIT
            assert not fits, "refused although it fits"
        else:
            self.account.hold(name, amount, worst)
            self.worsts[name] = worst
        return name

    @rule(name=consumes(under_way), share=st.integers(0, 100))
    def end(self, name: str, share: int) -> None:
        cost = self.worsts.pop(name, 0) * share // 100
        self.account.release(name)
        self.account.spent_pico += cost
        self.true_spent += cost

    @rule(name=consumes(under_way))
    def lose(self, name: str) -> None:
        """Sent and never heard of: it counts with its worst case."""
        self.account.release(name)
        self.account.spent_pico += self.worsts.pop(name, 0)

    @invariant()
    def nothing_is_held_below_zero_and_holds_add_up(self) -> None:
        held = [self.account.held_for(name) or 0 for name in self.worsts]
        assert self.account.held_pico == sum(held) >= 0
        assert all(
            amount <= self.worsts[name] for name, amount in zip(self.worsts, held, strict=True)
        )

    @invariant()
    def whatever_is_under_way_may_cost_its_worst_and_fit(self) -> None:
        assert self.account.spent_pico + sum(self.worsts.values()) <= self.LIMIT
        assert self.true_spent <= self.LIMIT


TestCalls = Calls.TestCase


def test_a_hold_can_be_lowered_and_never_raised():
    account = Account()
    account.hold("a", 30, 50)
    account.hold("b", 20, 20)

    account.lower("a", 50)
    assert account.held_for("a") == 30
    account.lower("a", 40)
    assert account.held_for("a") == 30
    account.lower("a", 10)
    account.lower("nobody", 0)
    assert (account.held_for("a"), account.held_pico) == (10, 30)
    account.lower("b", 0)
    assert (account.held_for("b"), account.held_pico) == (None, 10)
