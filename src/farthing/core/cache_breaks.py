"""Why a prompt was not read from the prompt cache: every miss gets a cause and a place.

Theory of operation. The prompt-cache model says what a request should have read and why no more
(``Shortfall``); the answer says what it did read. Between the two each miss has one cause. Where a
prefix changed, the fingerprints of two consecutive requests of a lineage are compared: digests are
cumulative, so bisection finds the first block that differs, and the bytes of that block tell what
differs in it: its span, and the class of detector that knows such values. Tools are compared as a
set first, for shuffled definitions, and shuffled keys inside one, look like changes of everything.

Causes, from the certain to the likely: ``model``, ``parameters`` (a setting that keys the cache),
``tools``, ``system``, ``message`` N, ``ttl``, ``too_short``, ``lookback``, ``concurrency``,
``not_marked``, ``cold`` (nothing of it was ever written), and ``provider``: all was there, and less
was read.

Rules of this file: addresses, sizes, spans and classes leave it, never text.

Interface: ``diff(before, now)`` → ``PrefixChange``; ``cause_of(view, forecast, read_tokens=…,
change=…)`` → ``CacheMiss`` or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from farthing.core.prefix import Level, PrefixView
from farthing.core.prompt_cache_forecast import Forecast, ShortfallCode
from farthing.core.prompt_cache_paths import common_blocks
from farthing.core.volatile import Detector, classify
from farthing.errors import RequestError
from farthing.wire.blocks import Block
from farthing.wire.canonical import normal
from farthing.wire.fingerprint import Fingerprint
from farthing.wire.json import raw_members
from farthing.wire.models import ModelTraits
from farthing.wire.sorted_json import sorted_keys

__all__ = ["CacheMiss", "ChangeKind", "MissCause", "PrefixChange", "cause_of", "diff"]

MissCause = Literal[
    "model",
    "parameters",
    "tools",
    "system",
    "message",
    "ttl",
    "too_short",
    "lookback",
    "concurrency",
    "not_marked",
    "cold",
    "provider",
]

#: how the first differing block differs
ChangeKind = Literal[
    "parameter",
    "shuffled_tools",
    "shuffled_keys",
    "added",
    "removed",
    "value",
    "other_kind",
]

_LEVELS: Final[tuple[Level, ...]] = ("tools", "system", "messages")

#: reads this near to each other ended at the same block
_SAME_RATIO: Final = 0.95

_CAUSES: Final[dict[ShortfallCode, MissCause | None]] = {
    "complete": None,
    "no_marks": "not_marked",
    "too_short": "too_short",
    "cold": "cold",
    "expired": "ttl",
    "in_flight": "concurrency",
    "beyond_lookback": "lookback",
    "prefix_changed": None,  # the level decides
    "model_changed": "model",
}
_OF_LEVEL: Final[dict[Level, MissCause]] = {
    "tools": "tools",
    "system": "system",
    "messages": "message",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixChange:
    """Where the prefix of two consecutive requests of a lineage first differs, and how."""

    kind: ChangeKind
    #: index of the block in the later request, and where that is
    block: int
    level: Level
    address: str
    #: names of key parameters that differ, such as ``thinking``
    parameters: tuple[str, ...] = ()
    #: what kind of value differs, and its bytes in the later block
    detector: Detector | None = None
    span: tuple[int, int] | None = None

    @property
    def message(self) -> int | None:
        """The index of the message, where the change is in one."""
        parts = self.address.split(".")
        return int(parts[1]) if parts[0] == "messages" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMiss:
    """One request that read less than it could have, and why."""

    cause: MissCause
    #: tokens that would have been read otherwise, as far as is known
    missed_tokens: int
    change: PrefixChange | None = None

    @property
    def name(self) -> str:
        """The cause with its place: ``message 3``, ``system``, ``parameters thinking``."""
        if self.change is None:
            return self.cause
        if self.cause == "message":
            return f"message {self.change.message}"
        parameters = ",".join(self.change.parameters)
        return f"{self.cause} {parameters}".strip()


def cause_of(
    view: PrefixView,
    forecast: Forecast,
    *,
    read_tokens: int | None = None,
    change: PrefixChange | None = None,
) -> CacheMiss | None:
    """The miss of one request, or None if everything that was written for it was read.

    ``read_tokens`` is what the answer says; ``change`` what ``diff`` found against the request
    before, if the caller has it.
    """
    predicted = forecast.usage.cache_read
    if read_tokens is not None and read_tokens < _SAME_RATIO * predicted:
        return CacheMiss(cause="provider", missed_tokens=predicted - read_tokens)
    shortfall = forecast.shortfall
    missed = shortfall.missed_tokens
    if shortfall.code == "prefix_changed" or (shortfall.code == "cold" and change is not None):
        return _changed(view, change, shortfall.level or "messages", missed)
    cause = _CAUSES[shortfall.code]
    if cause is None:
        return None
    return CacheMiss(cause=cause, missed_tokens=missed or _unread(forecast))


def _unread(forecast: Forecast) -> int:
    return forecast.usage.prompt - forecast.usage.cache_read


def _changed(view: PrefixView, change: PrefixChange | None, level: Level, missed: int) -> CacheMiss:
    if change is None:
        return CacheMiss(cause=_OF_LEVEL[level], missed_tokens=missed)
    cause: MissCause = _OF_LEVEL[change.level]
    if change.kind == "parameter":
        cause = "model" if change.parameters == ("model",) else "parameters"
    behind = view.total_tokens - (view.positions[change.block - 1] if change.block else 0)
    return CacheMiss(cause=cause, missed_tokens=missed or behind, change=change)


# -- the diff -------------------------------------------------------------------------------------


def diff(before: Fingerprint, now: Fingerprint, traits: ModelTraits) -> PrefixChange | None:
    """The first block at which ``now`` leaves the path of ``before``.

    None: it only goes on, or stops short of it, as a rewound conversation does.
    """
    index = common_blocks(before.digests, now.digests)
    if index in {len(before.digests), len(now.digests)}:
        return None
    block = now.blocks[index]
    order = _LEVELS.index(block.level)
    lost = before.key.lost_levels(now.key, traits)
    named = tuple(name for name, level in lost.items() if _LEVELS.index(level) <= order)
    if named and (not index or now.blocks[index - 1].level != block.level):
        return _change("parameter", index, block, parameters=_leading(named))
    return _of_block(before.blocks, now.blocks, index)


def _leading(names: tuple[str, ...]) -> tuple[str, ...]:
    """Another model has other defaults, so its other parameters are no news."""
    return ("model",) if "model" in names else names


def _change(
    kind: ChangeKind,
    index: int,
    block: Block,
    *,
    parameters: tuple[str, ...] = (),
    detector: Detector | None = None,
    span: tuple[int, int] | None = None,
) -> PrefixChange:
    return PrefixChange(
        kind=kind,
        block=index,
        level=block.level,
        address=block.address,
        parameters=parameters,
        detector=detector,
        span=span,
    )


def _of_block(before: Sequence[Block], now: Sequence[Block], index: int) -> PrefixChange:
    old, new = before[index], now[index]
    if "tools" in {old.level, new.level}:
        return _of_tools(before, now, index)
    if old.level != new.level:
        grown = _LEVELS.index(new.level) < _LEVELS.index(old.level)
        return _change("added", index, new) if grown else _change("removed", index, old)
    if old.kind != new.kind or old.role != new.role:
        return _change("other_kind", index, new)
    return _of_value(old, new, index)


def _of_tools(before: Sequence[Block], now: Sequence[Block], index: int) -> PrefixChange:
    old, new = [_tools(blocks) for blocks in (before, now)]
    if {tool.digest for tool in old} == {tool.digest for tool in new}:
        return _change("shuffled_tools", index, now[index])
    names = [{tool.string("name") for tool in tools} for tools in (old, new)]
    if names[0] != names[1] or now[index].level != "tools":
        grown = bool(names[1] - names[0])
        return _change("added" if grown else "removed", index, (now if grown else before)[index])
    block = now[index]
    twin = next(tool for tool in old if tool.string("name") == block.string("name"))
    if twin.digest == block.digest:
        return _change("shuffled_tools", index, block)
    if _without_order(twin) == _without_order(block):
        return _change("shuffled_keys", index, block)
    return _of_value(twin, block, index)


def _tools(blocks: Sequence[Block]) -> list[Block]:
    return [block for block in blocks if block.level == "tools"]


def _without_order(tool: Block) -> bytes:
    """A tool in one spelling whatever the order of any keys in it; its mark left out."""
    values = {
        name: value for name, value in raw_members(tool.raw).items() if name != "cache_control"
    }
    try:
        return b"".join(
            name.encode() + sorted_keys(normal(bytes(values[name]))) for name in sorted(values)
        )
    except RequestError:  # nested too deeply to be compared
        return tool.raw


def _of_value(old: Block, new: Block, index: int) -> PrefixChange:
    left, right = old.raw, new.raw
    start = _common(left, right)
    rest = min(len(left), len(right)) - start
    tail = _common(left[::-1][:rest], right[::-1][:rest])
    span = start, len(right) - tail
    return _change("value", index, new, detector=classify(left, right, span), span=span)


def _common(left: bytes, right: bytes) -> int:
    """How many leading bytes two texts share."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
