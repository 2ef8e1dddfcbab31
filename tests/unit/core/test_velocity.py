"""Money spent faster than ever before is told; a single dear minute is forgiven."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farthing.core.velocity import Velocity, VelocityLimits, next_span, usual_spend
from farthing.pricing.money import PicoUsd

LIMITS = VelocityLimits(usual=PicoUsd(100), patience=5, hard_cap=PicoUsd(1000))
SPENT = st.lists(st.integers(0, 2000).map(PicoUsd), max_size=50)


def verdicts(spans: list[int], limits: VelocityLimits = LIMITS) -> list[str]:
    state, told = Velocity(), list[str]()
    for spent in spans:
        state = next_span(state, PicoUsd(spent), limits)
        told.append(state.verdict)
    return told


def test_usual_spending_is_fine_for_ever():
    assert set(verdicts([100] * 1000)) == {"fine"}


def test_a_dear_span_is_forgiven_by_cheap_ones():
    assert set(verdicts([500, 0, 0, 0, 0, 500, 0, 0, 0, 0, 500])) == {"fine"}


def test_steady_overspend_adds_up():
    assert verdicts([200] * 6) == ["fine"] * 5 + ["fast"]


def test_the_cap_needs_no_past():
    capped = VelocityLimits(hard_cap=PicoUsd(1000))

    assert verdicts([1000, 1001, 0], capped) == ["fine", "capped", "fine"]
    assert verdicts([10**15], VelocityLimits()) == ["fine"]


@given(SPENT)
def test_the_excess_is_the_largest_sum_above_usual_that_ends_here(spans):
    state = Velocity()
    for spent in spans:
        state = next_span(state, spent, LIMITS)

    sums = [sum(spans[start:]) - 100 * (len(spans) - start) for start in range(len(spans) + 1)]
    assert state.excess == max(sums)


def test_the_usual_is_the_95th_percentile_of_spans_in_which_something_was_spent():
    spans = [PicoUsd(value) for value in [*range(1, 101), *[0] * 50]]

    assert usual_spend(spans) == 95
    assert usual_spend(spans[:20]) == 19
    assert usual_spend(spans[:19]) is None
