"""Costs in the articles' terms: plain numbers in, dollars as a float out.

This is where money becomes a float, for those who compare or print; inside it stays exact, and
``farthing.pricing.price`` gives it so.

One convention for the counts, because half of the tools around use the other: ``input_tokens`` is
the *whole* prompt here, and what was read from the prompt cache or written to it is a part of that.
On the wire ``input_tokens`` leaves that part out. Counts that cannot be parts are refused instead
of becoming a negative cost; ``usage=`` takes the wire's own counts and cannot be misread.

No day means the newest price known. There is no clock here; pass ``on`` to price a day's calls.
"""

from __future__ import annotations

from datetime import date
from typing import TypedDict

from farthing.errors import UnpricedModelError
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage
from farthing.wire.usage_objects import usage_of

__all__ = ["CacheHit", "check_cache_hit", "cost_per_task", "estimate_cost"]


class CacheHit(TypedDict):
    """What an answer read from the prompt cache, and what it did not."""

    cache_read_tokens: int
    #: for 5 minutes and for 1 hour together
    cache_write_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    regular_input_tokens: int
    #: the share of the whole prompt that was read from the cache, 0 to 1
    cache_hit_rate: float


def estimate_cost(  # noqa: PLR0913  the signature that the articles teach, and what they forgot
    model: str,
    input_tokens: int,
    output_tokens: int,
    *,
    cached_tokens: int = 0,
    cache_write_5m: int = 0,
    cache_write_1h: int = 0,
    batch: bool = False,
    on: date | None = None,
) -> float:
    """Dollars for a call of this size; ``UnpricedModelError`` for a model without a price.

    ``input_tokens`` is the whole prompt; ``cached_tokens`` (read), ``cache_write_5m`` and
    ``cache_write_1h`` are parts of it.

    >>> estimate_cost("claude-sonnet-5-5", 10_000, 500)
    0.025
    >>> estimate_cost("claude-sonnet-5-5", 10_000, 500, cached_tokens=9_000)
    0.0079
    >>> estimate_cost("claude-sonnet-5-5", 10_000, 500, batch=True)
    0.0125
    """
    parts = {"cached_tokens": cached_tokens} | {
        "cache_write_5m": cache_write_5m,
        "cache_write_1h": cache_write_1h,
    }
    usage = Usage(
        uncached=_rest(input_tokens, parts),
        cache_read=cached_tokens,
        cache_write_5m=cache_write_5m,
        cache_write_1h=cache_write_1h,
        output=_whole("output_tokens", output_tokens),
    )
    return _dollars(model, usage, batch=batch, on=on)


def cost_per_task(  # noqa: PLR0913  see above
    model: str,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cached_tokens: int = 0,
    *,
    usage: object = None,
    cache_write_5m: int = 0,
    cache_write_1h: int = 0,
    batch: bool | None = None,
    on: date | None = None,
) -> float:
    """Dollars that a task cost, from its counts or, better, from ``usage=``.

    The counts are as in ``estimate_cost``: ``input_tokens`` *includes* ``cached_tokens``. ``usage``
    is what an answer reported (an SDK message, its usage, or a dict), where they are apart; it
    stands alone and says itself whether it was a batch.

    >>> cost_per_task("claude-sonnet-5-5", 10_000, 500, 9_000)
    0.0079
    >>> wire = {"input_tokens": 1_000, "cache_read_input_tokens": 9_000, "output_tokens": 500}
    >>> cost_per_task("claude-sonnet-5-5", usage=wire)
    0.0079
    """
    counts = (input_tokens, output_tokens, cached_tokens, cache_write_5m, cache_write_1h)
    if usage is None:
        return estimate_cost(
            model,
            input_tokens,
            output_tokens,
            cached_tokens=cached_tokens,
            cache_write_5m=cache_write_5m,
            cache_write_1h=cache_write_1h,
            batch=bool(batch),
            on=on,
        )
    if any(counts):
        raise ValueError("usage= has all the counts: pass it alone, or the counts alone")
    return _dollars(model, usage_of(usage), batch=batch, on=on)


def check_cache_hit(response: object) -> CacheHit:
    """Whether, and how far, an answer was served from the prompt cache.

    Takes an SDK message, its usage, or a dict of either; what is absent or None counts as 0. The
    rate is of the whole prompt: read, written and regular tokens.

    >>> usage = {"input_tokens": 500, "cache_read_input_tokens": 1_500, "output_tokens": 9}
    >>> hit = check_cache_hit({"usage": usage})
    >>> hit["cache_read_tokens"], hit["cache_write_tokens"], hit["cache_hit_rate"]
    (1500, 0, 0.75)
    """
    usage = usage_of(response)
    return CacheHit(
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_5m_tokens=usage.cache_write_5m,
        cache_write_1h_tokens=usage.cache_write_1h,
        regular_input_tokens=usage.uncached,
        cache_hit_rate=usage.cache_read / usage.prompt if usage.prompt else 0.0,
    )


def _dollars(model: str, usage: Usage, *, batch: bool | None, on: date | None) -> float:
    cards = catalog().on(on or date.max)
    card = cards(model)
    if card is None:
        when = "" if on is None else f" on {on}"
        raise UnpricedModelError(
            f"{model!r} has no price{when}, and none is guessed: check its spelling, see the known "
            "ones with `farthing price --list`, or leave cost out and count tokens",
            model=model,
        )
    return float(price(usage, card, cards=cards, batch=batch).usd)


def _rest(input_tokens: int, parts: dict[str, int]) -> int:
    """What of the prompt was neither read from the prompt cache nor written to it."""
    known = sum(_whole(name, count) for name, count in parts.items())
    rest = _whole("input_tokens", input_tokens) - known
    if rest < 0:
        given = ", ".join(f"{name}={count}" for name, count in parts.items() if count)
        raise ValueError(
            f"{given} is more than input_tokens={input_tokens}, which here is the whole prompt. "
            "These look like the wire's counts, which are apart: pass usage=response.usage to "
            "cost_per_task, or add them up"
        )
    return rest


def _whole(name: str, count: int) -> int:
    if count < 0:
        raise ValueError(f"{name}={count!r}: a count of tokens is 0 or more")
    return count
