"""The caching rows of public articles on the cost of Claude agents, as requests and as formulas.

A case says twice what should happen: as the requests that a client sends (``shots``), and as token
counts from a formula (``closed``) that knows nothing of the requests. Each request ends with a
question of ``QUESTION`` tokens behind the last mark; it costs the same in every way and is left out
of all figures, as the articles leave it out of theirs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from farthing.core.prefix import LIFETIMES, Ttl
from farthing.wire.usage import Usage

__all__ = ["CASES", "QUESTION", "Case", "Shot"]

#: tokens behind the last mark
QUESTION: Final = 20

SONNET, HAIKU = "claude-sonnet-4-6", "claude-haiku-4-5"
TODAY: Final = ("claude-sonnet-5-5", "claude-opus-5-5")
TODAY_SMALL: Final = ("claude-haiku-5-5",)

_STEP: Final = 10.0
_MINUTE: Final = 60.0

#: token counts by the model's shortest cacheable prefix
Closed = Callable[[int], Usage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request: tokens per block, system first, question last; one mark."""

    at: float
    sizes: tuple[int, ...]
    mark: int
    ttl: Ttl
    output: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: what an article says, the requests, the formula, what comes of it."""

    row: str
    words: str
    #: the figure of the article, as a figure
    stated: str
    shots: tuple[Shot, ...]
    closed: Closed
    verdict: str
    model: str = SONNET
    today: tuple[str, ...] = TODAY
    #: only shots from here on are billed; those before prepare the ground
    billed_from: int = 0
    #: the shots are repeated this often in the figures
    times: int = 1
    #: calls come at random, this many an hour
    per_hour: int | None = None


def fixed(prefix: int, moments: Sequence[float], ttl: Ttl) -> tuple[tuple[Shot, ...], Closed]:
    """The same prefix at these moments; each gap of a lifetime or more is one more write."""
    shots = tuple(Shot(at=at, sizes=(prefix, QUESTION), mark=0, ttl=ttl) for at in moments)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    cold = 1 + sum(gap >= LIFETIMES[ttl].total_seconds() for gap in gaps)
    return shots, _fixed_tokens(prefix, len(moments), cold, ttl)


def _fixed_tokens(prefix: int, calls: int, cold: int, ttl: Ttl) -> Closed:
    def closed(minimum: int) -> Usage:
        if prefix < minimum:
            return Usage(uncached=prefix * calls)
        written = prefix * cold
        return Usage(
            cache_read=prefix * (calls - cold),
            cache_write_5m=written if ttl == "5m" else 0,
            cache_write_1h=written if ttl == "1h" else 0,
        )

    return closed


def growing(
    prefix: int, growth: int, calls: int, *, rolling: bool, output: int = 0
) -> tuple[tuple[Shot, ...], Closed]:
    """A conversation that grows by ``growth`` a turn, marked at its end or at its system prompt."""
    shots = tuple(
        Shot(
            at=_STEP * turn,
            sizes=(prefix, *((QUESTION, growth - QUESTION) * turn), QUESTION),
            mark=2 * turn if rolling else 0,
            ttl="5m",
            output=output,
        )
        for turn in range(calls)
    )
    grown = growth * (calls - 1)
    presented_again = growth * (calls - 1) * (calls - 2) // 2
    usage = Usage(
        cache_write_5m=prefix + (grown if rolling else 0),
        cache_read=prefix * (calls - 1) + (presented_again if rolling else 0),
        uncached=0 if rolling else grown + presented_again,
        output=output * calls,
    )
    return shots, lambda _minimum: usage


def bursts(sizes: Sequence[int], pause: float) -> list[float]:
    """Moments of calls that come in bursts, a pause apart."""
    return [
        number * pause + _STEP * step for number, size in enumerate(sizes) for step in range(size)
    ]


def poisson(per_hour: float, calls: int) -> list[float]:
    """Moments of independent calls, the same in every run."""
    draw = random.Random(f"poisson {per_hour}")
    moments, at = [], 0.0
    for _ in range(calls):
        moments.append(round(at, 3))
        # apart far enough that the first byte of one is there before the next asks
        at += max(_STEP, draw.expovariate(per_hour / 3600))
    return moments


def _case(
    row: str,
    words: str,
    stated: str,
    made: tuple[tuple[Shot, ...], Closed],
    verdict: str,
) -> Case:
    shots, closed = made
    return Case(row=row, words=words, stated=stated, shots=shots, closed=closed, verdict=verdict)


def _every(seconds: float, calls: int) -> list[float]:
    return [seconds * call for call in range(calls)]


def _first_rows() -> list[Case]:
    return [
        _case("1", "4,000 tokens, 100 turns a minute apart", "$1.20 → $0.134",
              fixed(4000, _every(_MINUTE, 100), "5m"), "right while no gap reaches 5 min"),
        _case("1 cold", "the same, 6 min apart", "–",
              fixed(4000, _every(6 * _MINUTE, 100), "5m"), "25 % dearer than no caching"),
        replace(
            _case("1 small", "the same on the smallest model", "–",
                  fixed(4000, _every(_MINUTE, 100), "5m"), "too short to be cached: saves nothing"),
            model=HAIKU, today=TODAY_SMALL),
        _case("1b system", "plus 500 tokens of history a turn, system marked", "–",
              growing(4000, 500, 100, rolling=False), "the prefix is 14 % of the bill"),
        _case("1b rolling", "the same, mark at the end of the history", "–",
              growing(4000, 500, 100, rolling=True), "what caching is for"),
    ]  # fmt: skip


def _hit_rate_rows() -> list[Case]:
    """Hit rates, a thousand calls each: a hundred sent, ten times that in the figures."""
    at_95, at_70 = [20] * 5, [4] * 10 + [3] * 20
    stated = "$2.00 → $0.35"
    too_short = "below the minimum of 4,096: saves nothing; later models start at 512"

    def rate(row: str, share: int, sizes: Sequence[int], ttl: Ttl, **words: str) -> Case:
        pause = {"5m": 20, "1h": 90}[ttl] * _MINUTE
        made = fixed(2000, bursts(sizes, pause), ttl)
        claim = f"2,000 tokens, 1,000 calls, {share} % hits, {ttl}"
        case = _case(row, claim, words["stated"], made, words["verdict"])
        return replace(case, model=HAIKU, today=TODAY_SMALL, times=10)

    return [
        rate("2 5m", 95, at_95, "5m", stated=stated, verdict=too_short),
        rate("2 1h", 95, at_95, "1h", stated=stated, verdict=too_short),
        rate("3 5m", 70, at_70, "5m", stated="–", verdict="the same; pays from 21.7 % hits on"),
        rate("3 1h", 70, at_70, "1h", stated="–", verdict="the same; pays from 52.6 % hits on"),
    ]


def _cadence_rows() -> list[Case]:
    six = 6 * _MINUTE
    return [
        _case("4 burst", "2,000 tokens, 10 calls at once, 5 m", "8 times less",
              fixed(2000, _every(_STEP, 10), "5m"), "4.7 times less, not 8"),
        _case("4 even 5m", "10 calls, one every 6 min, 5 m", "8 times less",
              fixed(2000, _every(six, 10), "5m"), "25 % dearer than no caching"),
        _case("4 even 1h", "the same, 1 h, first hour", "–",
              fixed(2000, _every(six, 10), "1h"), "3.4 times less"),
        replace(
            _case("4 later 1h", "the same, 1 h, every later hour", "–",
                  (fixed(2000, _every(six, 20), "1h")[0], lambda _: Usage(cache_read=20_000)),
                  "10 times less at a read price of a tenth"),
            billed_from=10),
    ]  # fmt: skip


def _poisson_rows() -> list[Case]:
    ttls: tuple[Ttl, ...] = ("5m", "1h")
    return [
        replace(
            _case(f"5 {per_hour}/h {ttl}", f"4,000 tokens, {per_hour} calls an hour, {ttl}",
                  "1 h write once an hour", fixed(4000, poisson(per_hour, 60), ttl),
                  "reads refresh: a 1 h write is due once per pause of 1 h"),
            today=("claude-sonnet-5-5",), per_hour=per_hour)
        for ttl in ttls
        for per_hour in (2, 4, 10)
    ]  # fmt: skip


def _reuse_rows() -> list[Case]:
    return [
        _case("6 5m, 1 reuse", "4,000 tokens written and read once, 5 m", "pays from 1 reuse",
              fixed(4000, _every(_STEP, 2), "5m"), "right"),
        _case("6 1h, 1 reuse", "the same, 1 h", "does not pay yet",
              fixed(4000, _every(_STEP, 2), "1h"), "right: 1.11 reads are break-even, 1.05 today"),
        _case("6 1h, 2 reuses", "the same, read twice", "pays from 2 reuses",
              fixed(4000, _every(_STEP, 3), "1h"), "right"),
        _case("7", "10,000 tokens, 12 turns", "most of the bill saved",
              fixed(10_000, _every(_MINUTE, 12), "5m"), "right"),
        _case("8", "8,000 tokens, 12 turns", "10 times too dear",
              fixed(8000, _every(_MINUTE, 12), "5m"), "caching alone gives 5.1 times"),
    ]  # fmt: skip


def _loop_rows() -> list[Case]:
    def loop(row: str, calls: int, stated: str, verdict: str) -> Case:
        return _case(row, f"a loop of {calls} calls, +500 tokens and 200 out each", stated,
                     growing(4000, 500, calls, rolling=True, output=200), verdict)  # fmt: skip

    warm = fixed(15_000, _every(_STEP, 2), "5m")[0]
    return [
        loop("17", 100, "$0.60", "a loop grows: dearer than a flat price per call says"),
        loop("17 after 9", 9, "–", "the same loop, ended after three rounds of three"),
        loop("17 after 3", 3, "–", "ended after the third call"),
        replace(
            _case("18", "15,000 tokens of context, presented once more", "$0.045",
                  (warm, lambda _: Usage(cache_read=15_000)),
                  "uncached; pruning cached context saves a tenth of that"),
            billed_from=1),
    ]  # fmt: skip


CASES: Final[tuple[Case, ...]] = (
    *_first_rows(),
    *_hit_rate_rows(),
    *_cadence_rows(),
    *_poisson_rows(),
    *_reuse_rows(),
    *_loop_rows(),
)
