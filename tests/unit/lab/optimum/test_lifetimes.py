"""The cheapest way of one token, against every way there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.lab.optimum.lifetimes import Rules, Toll, Visit, cheapest

MINUTE = 60 * 10**6
TOLL = Toll(uncached=100, write_5m=125, write_1h=200, read=10, ping=10)
NO_PINGS, PINGS, UPGRADES = Rules(), Rules(pings=True), Rules(upgrades=True)

#: minutes; both sides of 5, 9.75, 60 and 118 are among them
GAPS = st.sampled_from([0, 1, 4.999, 5, 9.749, 9.75, 30, 59.999, 60, 117.999, 118, 500])
TOLLS = st.builds(
    Toll,
    uncached=st.integers(50, 150),
    write_5m=st.integers(60, 190),
    write_1h=st.integers(60, 300),
    read=st.integers(1, 20),
    ping=st.integers(1, 20),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Visit]:
    at, found = 0.0, []
    for _ in range(draw(st.integers(1, 5))):
        found.append(Visit(at=round(at * MINUTE), toll=draw(TOLLS)))
        at += draw(GAPS)
    return found


def visits(*minutes: float) -> list[Visit]:
    return [Visit(at=round(minute * MINUTE), toll=TOLL) for minute in minutes]


def pings_through(gap_minutes: float, life: float, every: float) -> int:
    """How many pings, one after the other, until the entry outlives the gap."""
    pings = 0
    while gap_minutes >= life + pings * every:
        pings += 1
    return pings


def way(history: list[Visit], kept: tuple[str, ...], rules: Rules) -> int | None:
    """What it costs to leave the token in these states after each visit; None: impossible."""
    prices = {"": "uncached", "5m": "write_5m", "1h": "write_1h"}
    total: int = getattr(history[0].toll, prices[kept[0]])
    for (before, visit), (old, new) in zip(pairwise(history), pairwise(kept), strict=True):
        gap = (visit.at - before.at) / MINUTE
        choices = [getattr(visit.toll, prices[new])]
        if old and (new == old or (rules.upgrades and (old, new) == ("5m", "1h"))):
            pings = pings_through(gap, *((5, 4.75) if old == "5m" else (60, 58)))
            if rules.pings or not pings:
                choices.append(visit.toll.read + pings * min(visit.toll.ping, before.toll.ping))
        total += min(choices)
    return total


@given(histories(), st.sampled_from([NO_PINGS, PINGS, UPGRADES]))
def test_no_way_of_all_is_cheaper_and_one_is_as_cheap(history, rules):
    every_way = (
        way(history, kept, rules) for kept in product(["", "5m", "1h"], repeat=len(history))
    )

    assert sum(cheapest(history, rules)) == min(total for total in every_way if total is not None)


@given(histories())
def test_what_is_allowed_more_never_costs_more(history):
    strict = sum(cheapest(history, NO_PINGS))

    assert sum(cheapest(history, PINGS)) <= strict
    assert sum(cheapest(history, UPGRADES)) <= strict


@given(histories(), st.sampled_from([NO_PINGS, PINGS, UPGRADES]), TOLLS)
def test_one_more_visit_never_costs_less(history, rules, toll):
    later = Visit(at=history[-1].at + MINUTE, toll=toll)

    assert sum(cheapest([*history, later], rules)) >= sum(cheapest(history, rules))


@given(histories(), st.sampled_from([NO_PINGS, PINGS, UPGRADES]), st.integers(2, 50))
def test_a_slower_cadence_never_costs_less(history, rules, factor):
    slower = [replace(visit, at=visit.at * factor) for visit in history]

    assert sum(cheapest(slower, rules)) >= sum(cheapest(history, rules))


@pytest.mark.parametrize(
    ("minutes", "paid"),
    [
        ([0], [100]),
        ([0, 4.999], [125, 10]),
        ([0, 5], [100, 100]),
        ([0, 5, 10], [200, 10, 10]),
        ([0, 59.999, 119.998], [200, 10, 10]),
        ([0, 60, 120], [100, 100, 100]),
    ],
)
def test_worked_ways_without_pings(minutes, paid):
    assert cheapest(visits(*minutes), NO_PINGS) == paid


@pytest.mark.parametrize(
    ("minutes", "paid"),
    [
        ([0, 5], [125, 20]),
        ([0, 9.749], [125, 20]),
        ([0, 9.75], [125, 30]),
        ([0, 5, 10], [125, 20, 20]),
        ([0, 10, 20, 30, 40, 50], [200, 10, 10, 10, 10, 10]),
        ([0, 90, 180], [200, 20, 20]),
    ],
)
def test_worked_ways_with_pings_paid_by_the_visit_they_are_for(minutes, paid):
    assert cheapest(visits(*minutes), PINGS) == paid


def test_an_upgrade_is_read_once_inside_five_minutes_and_lives_for_an_hour():
    assert cheapest(visits(0, 1, 50), NO_PINGS) == [200, 10, 10]
    assert cheapest(visits(0, 1, 50), UPGRADES) == [125, 10, 10]
