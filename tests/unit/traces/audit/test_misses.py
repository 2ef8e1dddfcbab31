"""Why a call paid again: one case per cause, and the borders between them."""

from __future__ import annotations

import pytest

from farthing.pricing import catalog
from farthing.traces.audit.counted import PriceList, count_calls
from farthing.traces.audit.misses import Cause, find_misses
from tests.unit.traces.recorded import call, conversation, usage


def counted(*calls):
    return count_calls(conversation(list(calls)), PriceList(catalog()), None)


def misses(*calls, rewritten=False, prefix=0.0, before=None):
    found, _ = find_misses(
        counted(*calls), before, rewritten=rewritten, prefix_tokens=prefix, ttl=None
    )
    return found


def causes(*calls, **more):
    return [miss.cause for miss in misses(*calls, **more)]


def first(**more):
    return call(1, usage(uncached=10, write=50_000), at=0.0, **more)


def cold(at, **more):
    """The second call of a thread, which read nothing."""
    return call(3, usage(uncached=10, write=52_000), at=at, **more)


def test_a_call_that_reads_all_that_was_cached_misses_nothing():
    assert causes(first(), call(3, usage(write=2_000, read=50_000), at=10.0)) == []


@pytest.mark.parametrize(
    ("gap", "cause"),
    [
        (299.9, Cause.PREFIX_CHANGED),
        (300.0, Cause.EXPIRED_5M),
        (3599.9, Cause.EXPIRED_5M),
        (3600.0, Cause.EXPIRED_1H),
    ],
)
def test_an_entry_for_five_minutes_lives_while_it_is_younger(gap, cause):
    assert causes(first(), cold(gap)) == [cause]


@pytest.mark.parametrize(
    ("gap", "cause"), [(3599.9, Cause.PREFIX_CHANGED), (3600.0, Cause.EXPIRED_1H)]
)
def test_an_entry_for_an_hour_lives_while_it_is_younger(gap, cause):
    written = call(1, usage(write_1h=50_000), at=0.0)

    assert causes(written, call(3, usage(write_1h=52_000), at=gap)) == [cause]


def test_a_call_that_only_reads_leaves_the_ttl_as_it_was():
    written = call(1, usage(write_1h=50_000), at=0.0)
    only_reads = call(3, usage(uncached=5, read=50_000), at=1_000.0)

    assert causes(written, only_reads, cold(2_000.0)) == [Cause.PREFIX_CHANGED]


def test_another_model_has_a_cache_of_its_own():
    assert causes(first(), cold(10.0, model="claude-opus-4-6")) == [Cause.MODEL_CHANGED]


def test_a_rewritten_history_is_not_a_broken_prefix():
    _, left = find_misses(counted(first()), None, rewritten=False, prefix_tokens=0, ttl=None)

    assert causes(cold(10.0), before=left, rewritten=True) == [Cause.REWRITTEN]


@pytest.mark.parametrize(
    ("prompt", "cause"), [(48_999, Cause.REWRITTEN), (49_500, Cause.PREFIX_CHANGED)]
)
def test_a_prompt_that_shrank_was_rewritten(prompt, cause):
    assert causes(first(), call(3, usage(write=prompt), at=10.0)) == [cause]


def test_a_first_call_could_have_shared_its_prefix():
    found = misses(first(), prefix=40_000.0)

    assert [(miss.cause, miss.tokens) for miss in found] == [(Cause.FIRST_CALL, 40_000)]


def test_a_first_call_that_finds_its_prefix_warm_misses_nothing():
    assert causes(call(1, usage(write=9_000, read=41_000)), prefix=41_000.0) == []


def test_a_client_that_does_not_cache_is_told_so_from_the_second_call_on():
    plain = [call(1, usage(uncached=20_000), at=0.0), call(3, usage(uncached=21_000), at=10.0)]

    found = misses(*plain, prefix=20_000.0)

    assert [(miss.cause, miss.tokens) for miss in found] == [(Cause.NOT_ASKED, 20_000)]


@pytest.mark.parametrize(("tokens", "count"), [(4_095, 0), (4_096, 1)])
def test_a_prompt_that_no_model_would_cache_is_no_miss(tokens, count):
    plain = [call(1, usage(uncached=tokens), at=0.0), call(3, usage(uncached=5_000), at=10.0)]

    assert len(misses(*plain)) == count


@pytest.mark.parametrize(("gap", "count"), [(299.9, 1), (300.0, 0)])
def test_without_caching_only_what_would_have_lived_is_a_miss(gap, count):
    plain = [call(1, usage(uncached=20_000), at=0.0), call(3, usage(uncached=21_000), at=gap)]

    assert len(misses(*plain)) == count


def test_without_times_the_cause_is_not_guessed():
    undated = [call(1, usage(write=50_000)), call(3, usage(write=52_000))]
    counted_calls = count_calls(conversation(undated, started_at=None), PriceList(catalog()), None)

    found, _ = find_misses(counted_calls, None, rewritten=False, prefix_tokens=0, ttl=None)

    assert [miss.cause for miss in found] == [Cause.NO_TIMES]


@pytest.mark.parametrize(("read", "count"), [(49_500, 0), (49_499, 1)])
def test_a_hundredth_less_is_tolerated(read, count):
    second = call(3, usage(write=52_000 - read, read=read), at=10.0)

    assert len(misses(first(), second)) == count


def test_a_miss_costs_what_fresh_tokens_cost_above_read_ones():
    # opus 4.8: written for five minutes 6.25, read 0.50 $/Mtok
    (miss,) = misses(first(), call(3, usage(write=52_000), at=10.0))

    assert miss.tokens == 50_000
    assert miss.estimated_pico == pytest.approx(50_000 * 5_750_000)


def test_a_miss_without_a_price_has_no_cost():
    (miss,) = misses(first(model="claude-next"), cold(10.0, model="claude-next"))

    assert miss.estimated_pico is None


def test_the_cache_of_another_provider_is_not_judged_by_these_rules():
    assert misses(first(model="gemini-3"), cold(10.0, model="gemini-3")) == []


def test_replayed_calls_are_remembered_but_not_blamed():
    assert causes(first(), cold(400.0, replayed=True)) == []
    warm = call(5, usage(read=52_000, write=10), at=410.0)
    assert causes(first(), cold(400.0, replayed=True), warm) == []
