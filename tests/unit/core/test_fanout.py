"""Who leads and who waits: heads, branches, failures, limits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from farthing.core.fanout import Fanout, FanoutAsk, Ticket
from farthing.core.fanout_steps import ALONE, Passage
from farthing.core.prefix import Mark
from farthing.core.prompt_cache import PromptCache
from tests.unit.core.cache_prompts import NOON, prompt

SECOND = 1_000_000_000
#: what an answer to 4,000 new tokens may take at most, by the prior
P99 = 3 * SECOND


def asked(
    blocks: Sequence[str],
    marks: Sequence[int],
    *,
    cache: PromptCache | None = None,
    tokens: int | Sequence[int] = 1_000,
    minimum: int = 500,
    is_streamed: bool = True,
    may_wait: bool = True,
) -> FanoutAsk:
    """A request of these blocks, and what a cold cache foresees of it."""
    view = prompt(
        blocks, marks=[Mark(index=index) for index in marks], tokens=tokens, minimum=minimum
    )
    forecast = (cache or PromptCache()).predict(view, NOON)
    return FanoutAsk(view=view, forecast=forecast, is_streamed=is_streamed, may_wait=may_wait)


def leaf(name: str, *, branch: str = "docs", is_streamed: bool = True) -> FanoutAsk:
    """A head of two blocks, a branch, and a tail of its own; all but the tail are marked."""
    return asked(["tools", "system", branch, name], [1, 2], is_streamed=is_streamed)


def enter(fanout: Fanout, *asks: FanoutAsk, at: int = 0) -> list[Ticket]:
    return [fanout.enter(ask, at) for ask in asks]


@pytest.fixture
def fanout() -> Fanout:
    return Fanout(limit_seconds=20)


def test_the_first_leads_and_the_others_go_at_its_first_byte(fanout: Fanout):
    first, second, third = enter(fanout, leaf("a"), leaf("b"), leaf("c"))
    assert [ticket.state for ticket in (first, second, third)] == ["going", "waiting", "waiting"]
    assert first.reason == "leads"

    called = fanout.began(first, SECOND)

    assert called == (second, third)
    assert [ticket.state for ticket in called] == ["going", "going"]
    assert [ticket.reason for ticket in called] == ["waited", "waited"]
    assert [ticket.waited_ns for ticket in called] == [SECOND, SECOND]
    assert second.has_gained
    assert not first.has_gained


def test_who_comes_while_the_first_is_under_way_waits_too(fanout: Fanout):
    (first,) = enter(fanout, leaf("a"))

    (late,) = enter(fanout, leaf("b"), at=SECOND)

    assert late.is_waiting
    assert late.until_ns == P99  # of the leader's start, not of its own
    fanout.began(first, 2 * SECOND)
    assert late.waited_ns == SECOND


def test_who_comes_after_the_first_byte_does_not_wait(fanout: Fanout):
    (first,) = enter(fanout, leaf("a"))
    fanout.began(first, SECOND)

    assert not fanout.enter(leaf("b"), SECOND).is_waiting


def test_other_prefixes_models_and_scopes_do_not_wait(fanout: Fanout):
    enter(fanout, leaf("a"))

    assert not fanout.enter(asked(["other", "system", "docs"], [1, 2]), 0).is_waiting


def test_a_tree_is_warmed_from_the_top(fanout: Fanout):
    asks = [leaf(f"{branch}{n}", branch=branch) for branch in "xyz" for n in range(3)]
    x0, x1, x2, y0, y1, y2, z0, z1, z2 = enter(fanout, *asks)
    assert [t.is_waiting for t in (x0, x1, x2, y0, y1, y2, z0, z1, z2)] == [False] + [True] * 8

    fanout.began(x0, SECOND)

    going = [t for t in (x1, x2, y0, y1, y2, z0, z1, z2) if not t.is_waiting]
    assert going == [x1, x2, y0, z0]
    called = fanout.began(y0, 2 * SECOND)
    assert called == (y1, y2)
    assert [t.is_waiting for t in (y1, y2, z1, z2)] == [False, False, True, True]
    assert y1.waited_ns == 2 * SECOND


def test_when_a_leader_fails_the_next_is_promoted_and_the_rest_waits_for_it(fanout: Fanout):
    first, second, third = enter(fanout, leaf("a"), leaf("b"), leaf("c"))

    called = fanout.left(first, SECOND)

    assert called == (second, third)
    assert [second.state, third.state] == ["going", "waiting"]
    assert second.reason == "leader_failed"
    assert not second.has_gained
    assert third.until_ns == SECOND + P99
    fanout.began(second, 2 * SECOND)
    assert third.reason == "waited"


def test_a_waiter_that_leaves_is_forgotten(fanout: Fanout):
    first, second, third = enter(fanout, leaf("a"), leaf("b"), leaf("c"))

    assert fanout.left(second, 1) == ()

    assert fanout.began(first, SECOND) == (third,)
    assert second.state == "ended"


def test_late_calls_change_nothing(fanout: Fanout):
    first, second = enter(fanout, leaf("a"), leaf("b"))
    fanout.began(first, SECOND)

    assert fanout.began(first, SECOND) == fanout.left(first, SECOND) == ()
    assert fanout.look(second, SECOND) == ()
    assert second.reason == "waited"


def test_a_streaming_leader_that_stalls_is_replaced(fanout: Fanout):
    first, second, third = enter(fanout, leaf("a"), leaf("b"), leaf("c"))
    assert fanout.look(second, P99 - 1) == ()
    assert second.is_waiting

    called = fanout.look(third, P99)

    assert called == (second,)
    assert [second.state, second.reason] == ["going", "leader_late"]
    assert [third.is_waiting, third.leader] == [True, second]
    assert third.until_ns == 2 * P99
    fanout.began(first, 10 * SECOND)  # at last; it is learned from
    assert fanout.times.p99_ns(first.view.model, 4_000) == 10 * SECOND


def test_a_plain_leader_is_taken_as_begun_when_its_time_is_over(fanout: Fanout):
    first, second, third = enter(fanout, leaf("a", is_streamed=False), leaf("b"), leaf("c"))

    called = fanout.look(second, P99)

    assert called == (third,)
    assert [second.reason, third.reason] == ["waited", "waited"]
    fanout.began(first, 60 * SECOND)  # with all its output: nothing to learn from
    assert fanout.times.p99_ns(first.view.model, 4_000) == P99


def test_nobody_waits_beyond_the_limit():
    fanout = Fanout(limit_seconds=2)
    first, second, third = enter(fanout, leaf("a"), leaf("b"), leaf("c"))
    assert second.until_ns == 2 * SECOND

    assert fanout.look(second, 2 * SECOND) == ()

    assert [second.state, second.reason, second.waited_ns] == ["going", "limit", 2 * SECOND]
    assert third.is_waiting
    assert fanout.began(first, 2 * SECOND) == (third,)


def test_whose_limit_is_reached_when_the_leader_fails_does_not_wait_again():
    fanout = Fanout(limit_seconds=2)
    first, second, third = enter(fanout, leaf("a"), leaf("b"), leaf("c"))

    fanout.left(first, 2 * SECOND)

    assert [second.state, third.state] == ["going", "going"]


def test_what_was_learned_meanwhile_makes_a_wait_longer(fanout: Fanout):
    first, second = enter(fanout, leaf("a"), leaf("b"))
    fanout.times.record(first.view.model, 4_000, 10 * SECOND)

    assert fanout.look(second, P99) == ()

    assert second.is_waiting
    assert second.until_ns == 10 * SECOND


def test_a_limit_of_zero_is_no_wait():
    first, second = enter(Fanout(limit_seconds=0), leaf("a"), leaf("b"))

    assert [first.state, second.state] == ["going", "going"]


def test_observing_says_who_would_have_waited(fanout: Fanout):
    ask = asked(["tools", "system"], [1], may_wait=False)
    first, second = enter(fanout, ask, ask)

    assert [first.reason, second.reason] == ["leads", "would_wait"]
    assert [first.state, second.state] == ["going", "going"]


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (asked(["tools", "system"], []), "not_marked"),
        (asked(["tools", "system"], [1], minimum=2_001), "too_short"),
    ],
)
def test_nobody_waits_for_what_is_not_written(fanout: Fanout, ask: FanoutAsk, reason: str):
    found = enter(fanout, ask, ask)

    assert [ticket.reason for ticket in found] == [reason, reason]
    assert len(fanout) == 0


def test_the_minimum_itself_is_waited_for(fanout: Fanout):
    ask = asked(["tools", "system"], [1], minimum=2_000)

    assert [ticket.is_waiting for ticket in enter(fanout, ask, ask)] == [False, True]


def test_behind_a_warm_prefix_only_what_is_long_enough_is_waited_for(fanout: Fanout):
    cache = PromptCache()
    head = prompt(["tools"], marks=[Mark(index=0)], minimum=500)
    cache.observe(head, cache.begin(head, NOON), began_at=NOON, first_byte_at=NOON)

    def behind(tokens: int) -> FanoutAsk:
        return asked(["tools", f"{tokens}"], [0, 1], cache=cache, tokens=[1_000, tokens])

    assert [t.reason for t in enter(fanout, behind(499), behind(499))] == ["warm", "warm"]
    assert [t.is_waiting for t in enter(fanout, behind(500), behind(500))] == [False, True]


def test_after_a_wait_the_rest_has_to_be_long_enough_too(fanout: Fanout):
    def ask(tail: str) -> FanoutAsk:
        return asked(["head", tail], [0, 1], tokens=[1_000, 100])

    first, second, third = enter(fanout, ask("a"), ask("b"), ask("b"))

    fanout.began(first, 1)

    assert [second.state, third.state] == ["going", "going"]


def test_what_no_lookup_would_find_is_not_waited_for(fanout: Fanout):
    """The mark is 20 blocks behind the entry: the provider tests 20, the mark's own included."""
    blocks = [str(number) for number in range(30)]
    enter(fanout, asked(blocks[:5], [4]))

    assert not fanout.enter(asked(blocks[:25], [24]), 0).is_waiting
    assert fanout.enter(asked(blocks[:24], [23]), 0).is_waiting


def test_nodes_are_bounded_and_the_oldest_is_given_up():
    fanout = Fanout(limit_seconds=20, nodes=2)
    found = enter(fanout, *(asked([str(number)], [0]) for number in range(3)))

    assert len(fanout) == 2
    assert not fanout.enter(asked(["0"], [0]), 0).is_waiting  # takes the place of 1
    assert fanout.enter(asked(["2"], [0]), 0).is_waiting
    assert fanout.enter(asked(["0"], [0]), 0).is_waiting
    fanout.enter(asked(["3"], [0]), 0)  # both that lead are waited for: no room
    assert not fanout.enter(asked(["3"], [0]), 0).is_waiting
    assert [ticket.state for ticket in found] == ["going"] * 3
    for ticket in found:
        fanout.began(ticket, 1)


def test_who_waits_for_nobody_has_nothing_to_say_of_it():
    for passage in (ALONE, Passage()):
        assert (passage.reasons, passage.waited_ns, passage.has_gained) == ((), 0, False)
