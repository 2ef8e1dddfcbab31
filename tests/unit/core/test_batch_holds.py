"""What a batch holds: row by row it ends, and never below what its open rows can cost."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from farthing.core.batch_holds import BatchHold, BatchRows, row_digest

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
GROUPS = (("all", "opus"), ("all", "haiku"), ("cheap",))


def rows_of(entries: list[tuple[str, int, int]], groups=GROUPS) -> BatchRows:
    """``entries``: name, group, amount."""
    found = sorted((row_digest(name), group, amount) for name, group, amount in entries)
    return BatchRows(
        batch_id="msgbatch_1",
        created_at=NOW,
        groups=groups,
        digests=array("Q", [each[0] for each in found]).tobytes(),
        group_of=array("H", [each[1] for each in found]).tobytes(),
        amounts=array("q", [each[2] for each in found]).tobytes(),
    )


def test_each_row_ends_its_own_part_and_ends_it_once():
    hold = BatchHold(rows_of([("a", 0, 10), ("b", 1, 20), ("b", 2, 5)]))

    assert hold.held() == {"all": 30, "opus": 10, "haiku": 20, "cheap": 5}
    assert hold.keys_of("b") == ("all", "haiku", "cheap")
    assert hold.keys_of("nobody") == ()
    assert hold.book("b") == {"all": 10, "haiku": 0, "cheap": 0}
    assert hold.book("b") == hold.book("nobody") == {}
    assert not hold.is_over
    assert hold.book("a") == {"all": 0, "opus": 0}
    assert hold.is_over


def test_a_batch_that_has_ended_holds_as_many_of_the_dearest_rows_as_succeeded():
    hold = BatchHold(rows_of([(name, 0, n) for n, name in enumerate("abcd", start=1)]))

    assert hold.succeeded(2)["all"] == 7
    assert hold.succeeded(3)["all"] == 7  # it never grows
    assert hold.book("a")["all"] == 7
    assert hold.book("d")["all"] == 5
    assert hold.succeeded(0)["all"] == 0
    assert hold.book("b")["all"] == 0


def test_a_representation_says_nothing_of_the_rows():
    assert repr(rows_of([("secret", 0, 1)])) == "<BatchRows msgbatch_1 1 entries>"


class Batches(RuleBasedStateMachine):
    """Rows are booked in any order and any number of times; the batch may end in between."""

    @initialize(
        amounts=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), min_size=1, max_size=12)
    )
    def create(self, amounts: list[tuple[int, int]]) -> None:
        self.open = {f"r{n}": (group, amount) for n, (group, amount) in enumerate(amounts)}
        self.all = dict(self.open)
        self.hold = BatchHold(rows_of([(name, *rest) for name, rest in self.open.items()]))
        #: names that are not booked and cost something; None: nobody knows
        self.costly: set[str] | None = None
        self.before = self.hold.held()

    @rule(data=st.data())
    def book(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.all)))
        self.hold.book(name)
        self.open.pop(name, None)

    @precondition(lambda self: self.costly is None)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.costly = data.draw(st.sets(st.sampled_from(sorted(self.all))))
        self.hold.succeeded(len(self.costly))

    @invariant()
    def no_key_holds_less_than_its_open_rows_can_cost(self) -> None:
        held = self.hold.held()
        for key, amount in held.items():
            mine = {name: cost for name, (group, cost) in self.open.items() if key in GROUPS[group]}
            can_cost = sum(
                cost for name, cost in mine.items() if self.costly is None or name in self.costly
            )
            assert can_cost <= amount <= sum(mine.values())
            assert amount <= self.before[key]
        assert self.hold.is_over == (not self.open)
        self.before = held


TestBatches = Batches.TestCase
