"""The tables of the provider's documentation, as the API facts (section 2) restate them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farthing.core.prefix import Mark, PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.pricing import catalog, traits
from tests.unit.core.prompts import at, digests_of, numbered, prompt, served, split

# -- 2.4: mixed TTLs ------------------------------------------------------------------------------


def turn(last: int, total: int) -> PrefixView:
    """1 h breakpoint at 10,000 tokens, the last one for 5 m."""
    ends = [10_000, *range(30_000, last + 1, 4_000)]
    return PrefixView(
        scope="",
        model="m",
        digests=digests_of(map(str, ends)),
        positions=ends,
        total_tokens=total,
        marks=(Mark(index=0, ttl="1h"), Mark(index=len(ends) - 1)),
    )


def test_the_worked_example_of_mixed_lifetimes():
    cache = PromptCache()

    cold = served(cache, turn(30_000, 31_000), 0)
    next_turn = served(cache, turn(34_000, 34_500), 60)
    after_ten_minutes = served(cache, turn(38_000, 38_500), 660)

    # read, written for 1 h, written for 5 m, plain
    assert split(cold.usage) == (0, 10_000, 20_000, 1_000)
    assert split(next_turn.usage) == (30_000, 0, 4_000, 500)
    assert split(after_ten_minutes.usage) == (10_000, 0, 28_000, 500)


# -- 2.2: lookback --------------------------------------------------------------------------------


def test_a_breakpoint_at_35_does_not_see_an_entry_at_15_but_one_more_at_15_does():
    cache, words = PromptCache(), numbered(36)
    served(cache, prompt(words[:16], 15), 0)

    assert cache.predict(prompt(words, 35), at(2)).usage.cache_read == 0
    assert cache.predict(prompt(words, 15, 35), at(2)).usage.cache_read == 16_000
    assert cache.predict(prompt(words, 34), at(2)).usage.cache_read == 16_000


# -- 1.1: minimum lengths -------------------------------------------------------------------------

MINIMUMS = {
    "claude-fable-5-2": 512,
    "claude-fable-5-1": 512,
    "claude-fable-5": 512,
    "claude-opus-5-5": 512,
    "claude-opus-5": 512,
    "claude-opus-4-8": 1024,
    "claude-opus-4-7": 2048,
    "claude-opus-4-6": 4096,
    "claude-opus-4-5-20251101": 4096,
    "claude-sonnet-5-5": 512,
    "claude-sonnet-5": 1024,
    "claude-sonnet-4-6": 1024,
    "claude-sonnet-4-5-20250929": 1024,
    "claude-haiku-5-5": 512,
    "claude-haiku-4-5-20251001": 4096,
}


@pytest.mark.parametrize(("model", "minimum"), MINIMUMS.items())
def test_the_minimum_length_of_each_model(model, minimum):
    known = traits(model)
    assert known is not None
    view = prompt("a", 0, model=model, min_cacheable_tokens=known.min_cacheable_tokens)

    def written(tokens: int) -> int:
        sized = replace(view, positions=(tokens,), total_tokens=tokens)
        return PromptCache().predict(sized, at(0)).usage.cache_write_5m

    assert (written(minimum - 1), written(minimum)) == (0, minimum)


def test_every_priced_model_has_a_minimum():
    assert all(
        (known := traits(card.model)) and known.min_cacheable_tokens >= 512
        for card in catalog().cards
    )
