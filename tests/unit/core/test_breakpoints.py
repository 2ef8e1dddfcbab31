"""Where breakpoints go."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from farthing.core.breakpoints import MOST, Wish, is_reached, place
from farthing.core.prefix import Mark, PrefixView
from tests.unit.core.cache_prompts import prompt


def _anywhere(_index: int) -> bool:
    return True


def test_marks_of_the_client_stay_where_they_are() -> None:
    view = prompt("abcdef", marks=[Mark(index=1), Mark(index=4, ttl="1h")])
    sites = place(view, [Wish(index=5, why="tail", is_must=True)], _anywhere)
    assert [(site.index, site.why) for site in sites] == [
        (1, "client"),
        (4, "client"),
        (5, "tail"),
    ]


def test_four_marks_of_the_client_leave_no_room() -> None:
    view = prompt("abcdef", marks=[Mark(index=at) for at in (0, 1, 2, 3)])
    sites = place(view, [Wish(index=5, why="tail", is_must=True, weight=9)], _anywhere)
    assert [site.index for site in sites] == [0, 1, 2, 3]


def test_a_must_comes_before_what_is_worth_more() -> None:
    view = prompt("abcdef", marks=[Mark(index=at) for at in (0, 1, 2)])
    wishes = [
        Wish(index=4, why="branch", weight=1_000),
        Wish(index=5, why="tail", is_must=True),
    ]
    assert [site.why for site in place(view, wishes, _anywhere)][-1] == "tail"


def test_a_wish_moves_back_to_a_block_that_may_be_marked() -> None:
    view = prompt("abcdef")
    sites = place(
        view, [Wish(index=9, why="tail", is_must=True)], lambda index: index not in {4, 5}
    )
    assert [site.index for site in sites] == [3]


def test_a_wish_for_which_no_block_may_be_marked_is_dropped() -> None:
    wish = Wish(index=2, why="tail", is_must=True)
    assert place(prompt("abc"), [wish], lambda _: False) == ()


def test_a_prefix_below_the_minimum_gets_no_mark_and_one_at_it_does() -> None:
    wish = Wish(index=0, why="tail", is_must=True)
    assert place(prompt("a", tokens=999, minimum=1_000), [wish], _anywhere) == ()
    assert len(place(prompt("a", tokens=1_000, minimum=1_000), [wish], _anywhere)) == 1


def test_a_wish_without_weight_is_not_marked() -> None:
    assert place(prompt("abc"), [Wish(index=1, why="branch")], _anywhere) == ()


def test_a_block_20_positions_back_is_missed_and_one_19_back_is_found() -> None:
    assert is_reached(16, (35,))
    assert not is_reached(15, (35,))
    assert is_reached(15, (15, 35))


_WISHES = st.lists(
    st.tuples(st.integers(0, 11), st.floats(0.1, 10)),
    min_size=1,
    max_size=7,
    unique_by=lambda w: w[0],
)


def _value(view: PrefixView, wishes: list[tuple[int, float]], marks: tuple[int, ...]) -> float:
    return sum(
        weight * max((view.positions[at] for at in marks if at <= index), default=0)
        for index, weight in wishes
    )


@given(_WISHES, st.lists(st.integers(1, 5_000), min_size=12, max_size=12))
def test_greedy_is_never_far_from_the_best_choice(
    wishes: list[tuple[int, float]], sizes: list[int]
) -> None:
    view = prompt("abcdefghijkl", tokens=sizes)
    wanted = [Wish(index=index, why="branch", weight=weight) for index, weight in wishes]
    sites = tuple(site.index for site in place(view, wanted, _anywhere))
    places = [index for index, _ in wishes]
    best = max(
        _value(view, wishes, chosen) for chosen in combinations(places, min(MOST, len(places)))
    )
    assert len(sites) <= MOST
    assert _value(view, wishes, sites) >= (1 - 1 / 2.718281828) * best
