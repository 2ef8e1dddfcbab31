"""Compares the emulator's prompt-cache accounting with what the provider really read and wrote.

    python benchmarks/fidelity_emulator.py [--data DIR] [--json]

The same calls, sizes, times, definitions and figures as ``cache_fidelity``; only the cache is the
emulator's own, driven in process. It knows the documented rules and learns nothing from answers.
What a recording does not show must therefore be *sent*: a driver stands for the clients nobody
recorded. Side calls come from ``cache_fidelity``; here is added that other sessions of a user keep
the shared head warm, presumed where earlier calls of that user have shown it.

Then the two models are compared call by call, and each difference gets its reason.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks import cache_fidelity
from benchmarks.cache_fidelity import MAIN, SUBAGENTS, Replay, Scored
from benchmarks.fidelity_tables import print_causes, print_confusion
from benchmarks.recorded_calls import FIRST_BYTE_WITHIN, load_rows
from benchmarks.required import DATA, require_data
from farthing.core.hazard import ExpectedUsage
from farthing.core.prefix import LIFETIMES, Mark, PrefixView
from farthing.core.prompt_cache_forecast import Forecast, Hit, Shortfall
from farthing.core.prompt_cache_learning import CacheCorrection
from farthing.lab.emulator.prompt_cache import Accounting, Chain, PromptCache
from farthing.wire.usage import Usage

#: reads this near to each other ended at the same block: positions of heads are learned
SAME_TOKENS, SAME_RATIO = 64, 0.02

#: presence of other sessions fades by this with each new observation: a matter of hours
FADING, FADING_OF_ALL = 0.8, 0.999

#: that somebody outside the recording goes on with one conversation needs clearer signs
PRESENT_FOR_ONE = 0.6

#: in lifetimes: a little late, some hours late, another day
AGE_EDGES = (1.05, 4.0)

#: a head is the first block, a preamble the second; what lies behind is a conversation's own
SHARED_BLOCKS = 2

_Key = tuple[str, str, bytes]


@dataclass(slots=True)
class Seen:
    """How often a head asked for beyond its lifetime was there, and was not; counts fade."""

    alive: float = 0.0
    gone: float = 0.0

    def add(self, fading: float, *, alive: bool) -> None:
        self.alive = fading * self.alive + alive
        self.gone = fading * self.gone + (not alive)


@dataclass(slots=True)
class Presence:
    """Were heads of a user found alive beyond their lifetime? Then somebody else was at work."""

    _seen: dict[tuple[object, ...], Seen] = field(default_factory=dict)

    def is_likely(self, scope: str, case: tuple[object, ...]) -> bool:
        """From earlier calls of this user; what everybody's show counts as one call more."""
        own = self._seen.get((scope, *case), Seen())
        everybody = self._seen.get(("", *case), Seen(0.2, 3.8))
        prior = everybody.alive / (everybody.alive + everybody.gone)
        likelihood = (own.alive + prior) / (own.alive + own.gone + 1)
        return likelihood > (PRESENT_FOR_ONE if case[0] == "own" else 0.5)

    def learn(self, scope: str, case: tuple[object, ...], *, alive: bool) -> None:
        """One head was asked for beyond its lifetime."""
        self._seen.setdefault((scope, *case), Seen()).add(FADING, alive=alive)
        self._seen.setdefault(("", *case), Seen(0.2, 3.8)).add(FADING_OF_ALL, alive=alive)


@dataclass(frozen=True, slots=True)
class Touch:
    """When a head was last sent by a recorded call, by whom, and whether by several."""

    at: datetime
    lineage_id: str
    is_shared: bool


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A head past its lifetime by what is recorded."""

    block: int
    case: tuple[object, ...]


class Touches:
    """Which prefixes recorded calls marked, and when last."""

    def __init__(self) -> None:
        self._touches: dict[_Key, Touch] = {}

    def lapsed(self, view: PrefixView, now: datetime) -> list[Lapsed]:
        """Prefixes of this request past their lifetime, deepest first, one of each bond."""
        ttl, found = view.marks[0].ttl, dict[str, Lapsed]()
        for block in range(view.marks[-1].index, -1, -1):
            touch = self._touches.get((view.scope, view.model, view.digests[block]))
            if touch is None:
                continue
            if now - touch.at < LIFETIMES[ttl]:
                break
            age = sum(now - touch.at >= edge * LIFETIMES[ttl] for edge in AGE_EDGES)
            bond = "shared" if touch.is_shared else "own"
            bond = bond if touch.lineage_id == view.lineage_id else "foreign"
            found.setdefault(bond, Lapsed(block, (bond, ttl, age)))
        return list(found.values())

    def add(self, view: PrefixView, now: datetime) -> None:
        """A recorded call sent these prefixes."""
        for mark in view.marks:
            key = (view.scope, view.model, view.digests[mark.index])
            before = self._touches.get(key, Touch(now, view.lineage_id, is_shared=False))
            is_shared = before.is_shared or before.lineage_id != view.lineage_id
            self._touches[key] = Touch(now, view.lineage_id, is_shared)


class EmulatedCache:
    """The emulator's accounting behind the interface that ``cache_fidelity`` drives."""

    def __init__(self) -> None:
        self._cache = PromptCache()
        self._presence = Presence()
        self._touches = Touches()
        #: heads that were past their lifetime when a call began
        self._lapsed: dict[int, list[Lapsed]] = {}

    def begin(self, view: PrefixView, now: datetime) -> Forecast:
        """Account and commit, as the emulator does when a request is admitted."""
        lapsed = self._touches.lapsed(view, now)
        for head in lapsed:
            if self._presence.is_likely(view.scope, head.case):
                self._send(view, head.block, now - timedelta(minutes=1))
        accounting = self._account(view, now, usable_at=now + FIRST_BYTE_WITHIN)
        self._touches.add(view, now)
        forecast = _forecast(view, accounting, now)
        self._lapsed[id(forecast)] = lapsed
        return forecast

    def expect(self, view: PrefixView, forecast: Forecast, now: datetime) -> ExpectedUsage:
        """The emulator expects what it accounts."""
        parts = ("uncached", "cache_write_5m", "cache_write_1h", "cache_read")
        amounts = {part: float(getattr(forecast.usage, part)) for part in parts}
        return ExpectedUsage(**amounts, surprise=0.0)

    def observe(
        self,
        view: PrefixView,
        forecast: Forecast,
        *,
        began_at: datetime,
        first_byte_at: datetime,
        usage: Usage | None = None,
    ) -> CacheCorrection | None:
        """Tell where the read ended; the accounting is told nothing, but see ``_send``."""
        lapsed = self._lapsed.pop(id(forecast), [])
        if usage is None:
            return None
        block = _read_block(view, forecast, usage.cache_read)
        for head in lapsed:
            self._presence.learn(view.scope, head.case, alive=block >= head.block)
        if block > (forecast.hit.block if forecast.hit else -1):
            self._send(view, block, began_at - timedelta(minutes=1))
        return CacheCorrection(
            kind="confirmed",
            predicted_tokens=forecast.usage.cache_read,
            read_tokens=usage.cache_read,
            block=block,
        )

    def _account(self, view: PrefixView, now: datetime, *, usable_at: datetime) -> Accounting:
        chain, scope = chain_of(view), scope_of(view)
        accounting = self._cache.account(chain, scope, now.timestamp())
        self._cache.commit(chain, scope, accounting, now.timestamp(), usable_at.timestamp())
        return accounting

    def _send(self, view: PrefixView, block: int, at: datetime) -> None:
        """A request nobody recorded, of this prefix and no more: presumed, or proven by a read."""
        end = block + 1
        mark = Mark(index=block, ttl=view.marks[0].ttl)
        prefix = replace(
            view,
            digests=view.digests[:end],
            positions=view.positions[:end],
            total_tokens=view.positions[block],
            marks=(mark,),
        )
        self._account(prefix, at, usable_at=at)


def chain_of(view: PrefixView) -> Chain:
    """The view as the emulator sees a prompt."""
    return Chain(
        keys=tuple(view.digests),
        tokens=tuple(view.positions),
        breakpoints=tuple((mark.index, mark.ttl) for mark in view.marks),
        minimum=view.min_cacheable_tokens,
    )


def scope_of(view: PrefixView) -> str:
    """In the emulator the model is part of each key; here the digests do not hold it."""
    return f"{view.scope} {view.model}"


def _forecast(view: PrefixView, accounting: Accounting, now: datetime) -> Forecast:
    usage = Usage(
        uncached=view.total_tokens - accounting.cached_end,
        cache_write_5m=accounting.write_5m,
        cache_write_1h=accounting.write_1h,
        cache_read=accounting.read,
    )
    ttl = view.marks[0].ttl
    hit = accounting.hit
    return Forecast(
        usage=usage,
        hit=None
        if hit is None
        else Hit(block=hit, tokens=accounting.read, ttl=ttl, touched_at=now),
        shortfall=Shortfall(code="cold" if hit is None else "complete"),
        writes=tuple(at for at, _ in accounting.writes),
    )


def _read_block(view: PrefixView, forecast: Forecast, read: int) -> int:
    """The block at which a read ended: the predicted one, or the nearest position."""
    if not read:
        return -1
    predicted = forecast.usage.cache_read
    if forecast.hit and abs(read - predicted) <= max(SAME_TOKENS, SAME_RATIO * predicted):
        return forecast.hit.block
    shared = range(SHARED_BLOCKS) if read < 1.05 * view.positions[SHARED_BLOCKS] else ()
    blocks = shared or range(len(view.positions))
    return min(blocks, key=lambda block: abs(view.positions[block] - read))


# -- the two models against each other ------------------------------------------------------------


def differences(emulated: Sequence[Scored], modelled: Sequence[Scored]) -> Counter[str]:
    """Calls whose class the two models see differently, by reason."""
    reasons: Counter[str] = Counter()
    twins = {(each.call.row.id, each.call.index): each for each in modelled}
    for each in emulated:
        twin = twins[each.call.row.id, each.call.index]
        if each.predicted_class != twin.predicted_class:
            reasons[_reason(each, twin)] += 1
    return reasons


def _reason(emulated: Scored, modelled: Scored) -> str:
    hit = modelled.forecast.hit
    if hit is not None and hit.is_presumed:
        return "the core presumes that an expired entry survived: it learns rates, this has rules"
    if modelled.forecast.expired:
        return "the driver kept a head warm that the core holds for expired"
    if emulated.forecast.usage.cache_read > modelled.forecast.usage.cache_read:
        return "an answer showed the core that entries were gone; the emulator keeps them"
    return "an answer showed the core an entry that no recorded call wrote"


def main() -> None:
    """Parse arguments, replay twice, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    arguments = parser.parse_args()
    rows = [
        row for name in (MAIN, SUBAGENTS) for row in load_rows(require_data(arguments.data / name))
    ]
    calls = [call for _, row_calls in rows for call in row_calls]
    scored = main_calls(Replay(EmulatedCache()).run(calls))
    twins = main_calls(Replay().run(calls))
    print_confusion("hard", [each for each in scored if each.tags])
    print_confusion("easy", [each for each in scored if not each.tags])
    print_causes(scored)
    found: dict[str, float] = cache_fidelity.figures(scored)
    reasons = differences(scored, twins)
    print(f"\nwhere the two models differ ({sum(reasons.values())} of {len(scored):,} calls)")
    for reason, calls_count in reasons.most_common():
        print(f"{calls_count:>5}  {reason}")
    print()
    for name, value in found.items():
        print(f"{name:44}{value:>12.4f}" if isinstance(value, float) else f"{name:44}{value:>12,}")
    if arguments.json:
        print(json.dumps(found | {"calls_differing_from_core": sum(reasons.values())}))


def main_calls(scored: Sequence[Scored]) -> list[Scored]:
    """Without sub-agents: they only share the cache."""
    return [each for each in scored if not each.call.row.is_subagent]


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the command line in the docstring on its own line."""


if __name__ == "__main__":
    main()
