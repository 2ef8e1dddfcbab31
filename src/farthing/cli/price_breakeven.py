"""When caching a prefix pays on a model, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from farthing.cli.table import render_table
from farthing.pricing import PINGS_PER_HOUR, BreakEven, RateCard, show_usd

__all__ = ["break_even_as_json", "print_break_even"]


def print_break_even(found: BreakEven, card: RateCard) -> None:
    """The answer as text; *too short to cache* is said first where it holds."""
    print(f"{card.id}: when a prompt cache pays\n")
    if found.too_short:
        print(
            f"Too short to cache on this model: {found.prefix_tokens:,} tokens, "
            f"the shortest prefix it caches is {found.min_tokens:,}.\n"
            "Marks are silently ignored and every use is billed as plain input;\n"
            "nothing below applies until the prefix is longer.\n"
        )
    elif found.min_tokens is not None and found.prefix_tokens is None:
        print(f"Prefixes under {found.min_tokens:,} tokens are never cached on this model.\n")
    print(render_table(["", "5 m", "1 h"], list(_rows(found, card))))
    print()
    print("\n".join(_pings(found)))


def _rows(found: BreakEven, card: RateCard) -> Iterator[list[str]]:
    ttls = (found.five_minutes, found.one_hour)
    yield ["write, in uncached passes", *(_number(ttl.write) for ttl in ttls)]
    yield ["read, in uncached passes", *(_number(found.read) for _ in ttls)]
    if found.prefix_tokens is not None:
        rates = card.rates_for(found.prefix_tokens)
        tokens = found.prefix_tokens
        yield ["one uncached pass", *(show_usd(tokens * rates.uncached) for _ in ttls)]
        writes = (rates.cache_write_5m, rates.cache_write_1h)
        yield ["one write", *(show_usd(tokens * rate) for rate in writes)]
        yield ["one read", *(show_usd(tokens * rates.cache_read) for _ in ttls)]
    yield ["reads until both cost the same", *(f"{float(ttl.reads):.2f}" for ttl in ttls)]
    yield ["pays from use number", *(str(ttl.uses) for ttl in ttls)]
    yield ["share of uses that must hit", *(f"{float(ttl.hit_rate):.1%}" for ttl in ttls)]


def _pings(found: BreakEven) -> Iterator[str]:
    yield f"Keep-alive: a ping costs one read ({_number(found.read)})."
    yield (
        f"Up to {found.pings} pings in a row, {float(found.ping_minutes):.0f} minutes, "
        "cost no more than letting a 5 m entry\ndie and writing it again."
    )
    whole = "the whole hour" if found.hour_is_covered else "not a whole hour"
    yield (
        f"Pings per hour that still pay: {found.pings_per_hour} "
        f"({whole}; that takes {PINGS_PER_HOUR})."
    )
    cheaper = "the pings are" if found.pings_beat_ttl else "the 1 h write is"
    yield (
        f"An idle hour costs, beyond a 5 m write, {_number(found.hour_by_pings)} by pings "
        f"and {_number(found.hour_by_ttl)} by a 1 h write:\n{cheaper} cheaper."
    )


def _number(value: Fraction) -> str:
    return f"{float(value):.4g}"


def break_even_as_json(found: BreakEven, card: RateCard) -> dict[str, object]:
    """The same as one JSON object."""
    ttls = {"5m": found.five_minutes, "1h": found.one_hour}
    return {
        "model": card.model,
        "rate_card": card.id,
        "prefix_tokens": found.prefix_tokens,
        "min_tokens": found.min_tokens,
        "too_short": found.too_short,
        "read_ratio": float(found.read),
        "ttl": {
            name: {
                "write_ratio": float(ttl.write),
                "reads": float(ttl.reads),
                "uses": ttl.uses,
                "hit_rate": float(ttl.hit_rate),
            }
            for name, ttl in ttls.items()
        },
        "pings": found.pings,
        "ping_minutes": float(found.ping_minutes),
        "pings_per_hour": found.pings_per_hour,
        "hour_by_pings": float(found.hour_by_pings),
        "hour_by_ttl": float(found.hour_by_ttl),
    }
