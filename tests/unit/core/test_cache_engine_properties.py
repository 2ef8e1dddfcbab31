"""What holds for every choice, whatever the traffic; and regret against the best fixed lifetime."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.cache_engine import CacheEngine
from farthing.core.cache_values import CacheChoice
from farthing.core.prefix import Mark, PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.wire.usage import Usage
from tests.unit.core.cache_prompts import RATES, after, ask_for, prompt

_BLOCKS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=30)
_REQUESTS = st.lists(
    st.tuples(
        _BLOCKS,
        st.integers(0, 5_000),
        st.lists(st.tuples(st.integers(0, 29), st.sampled_from(["5m", "1h"])), max_size=4),
        st.sets(st.integers(0, 29)),
        st.integers(0, 200_000),
    ),
    max_size=15,
)


def _client_marks(blocks: int, drawn: list[tuple[int, str]], barred: set[int]) -> list[Mark]:
    """Marks as a valid client sets them: on blocks that may carry one, 1 h before 5 m."""
    places = sorted({index % blocks for index, _ in drawn} - barred)
    hours = sum(ttl == "1h" for _, ttl in drawn)
    return [
        Mark(index=index, ttl="1h" if number < hours else "5m")
        for number, index in enumerate(places)
    ]


def _choices(requests: list[tuple[PrefixView, set[int], int, int]]) -> list[CacheChoice]:
    engine, now, choices = CacheEngine(lineages=5, blocks=60), 0, []
    for view, barred, gap, read in requests:
        now += gap
        choices.append(engine.choose(ask_for(view, unmarkable=sorted(barred)), after(now)))
        engine.observed(view, usage=Usage(cache_read=read), stop_reason="end_turn")
    return choices


@given(_REQUESTS)
@settings(max_examples=60)
def test_every_choice_is_valid_deterministic_and_leaves_the_clients_marks(
    drawn: list[tuple[list[str], int, list[tuple[int, str]], set[int], int]],
) -> None:
    requests = []
    for blocks, gap, marks, barred, read in drawn:
        clients = _client_marks(len(blocks), marks, barred)
        heads = (min(1, len(blocks)), min(2, len(blocks)))
        view = prompt(blocks, marks=clients, heads=heads, lineage=blocks[0])
        requests.append((view, barred, gap, read))
    choices = _choices(requests)
    for choice, (view, barred, _, _) in zip(choices, requests, strict=True):
        places = [mark.index for mark in choice.marks]
        lifetimes = [mark.ttl for mark in choice.marks]
        assert len(places) <= 4
        assert places == sorted(set(places))
        assert lifetimes == sorted(lifetimes)  # "1h" sorts before "5m"
        assert not barred & set(places)
        assert {mark.index for mark in view.marks} <= set(places)
    assert choices == _choices(requests)


# -- regret ---------------------------------------------------------------------------------------

#: the eight laws of gaps, in seconds
_LAWS: dict[str, Callable[[Random], float]] = {
    "tool loop": lambda random: random.lognormvariate(2.2, 0.8),
    "human chat": lambda random: (
        28_800 if random.random() < 0.12 else random.lognormvariate(5.5, 1.3)
    ),
    "cron 10 min": lambda random: 600 * random.uniform(0.97, 1.03),
    "cron 90 min": lambda random: 5_400 * random.uniform(0.97, 1.03),
    "Poisson 20 min": lambda random: random.expovariate(1 / 1_200),
    "Pareto 0.8": lambda random: 30 * random.paretovariate(0.8),
    "bursts and people": lambda random: (
        random.lognormvariate(2.2, 0.8) if random.random() < 0.8 else random.lognormvariate(6, 1)
    ),
    "one-shot daily": lambda random: 86_400 * random.uniform(0.97, 1.03),
}


def _paid(gaps: list[float], plan: Callable[[PrefixView, float], tuple[Mark, ...]]) -> float:
    """What a prefix of 10,000 tokens costs when it is presented after each of these gaps."""
    cache, now, paid = PromptCache(), 0.0, 0.0
    for gap in gaps:
        now += gap
        bare = prompt(["prefix"], tokens=10_000)
        view = prompt(["prefix"], tokens=10_000, marks=plan(bare, now))
        forecast = cache.begin(view, after(now))
        usage = forecast.usage
        cache.observe(view, forecast, began_at=after(now), first_byte_at=after(now))
        paid += usage.uncached * RATES.uncached + usage.cache_read * RATES.cache_read
        paid += usage.cache_write_5m * RATES.cache_write_5m
        paid += usage.cache_write_1h * RATES.cache_write_1h
    return paid


@pytest.mark.parametrize("law", _LAWS)
def test_regret_against_the_best_fixed_lifetime_is_small(law: str) -> None:
    random = Random(11)
    gaps = [_LAWS[law](random) for _ in range(400)]
    engine = CacheEngine()

    def chosen(view: PrefixView, now: float) -> tuple[Mark, ...]:
        return tuple(mark.mark for mark in engine.choose(ask_for(view), after(now)).marks)

    best = min(
        _paid(gaps, lambda _view, _now: ()),
        _paid(gaps, lambda _view, _now: (Mark(index=0, ttl="5m"),)),
        _paid(gaps, lambda _view, _now: (Mark(index=0, ttl="1h"),)),
    )
    assert _paid(gaps, chosen) <= 1.1 * best
