"""Compares the prompt-cache model with what the provider really read and wrote, call by call.

    python benchmarks/cache_fidelity.py [--data DIR] [--json]

All calls of the recorded Claude Code conversations (sub-agents too) are replayed in the order of
absolute time through one ``PromptCache``, for caches are shared between conversations. Each call is
predicted when it starts and learned from when it is done; a prediction never sees the split of its
own call, only its total (see ``recorded_views``). Scored are the calls of the main conversations.
Figures and definitions: docs/design/prompt-cache.md.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # also as a script

from benchmarks.fidelity_tables import CLASSES, print_causes, print_confusion, print_errors
from benchmarks.recorded_bounds import Bounds, RecordedBounds
from benchmarks.recorded_calls import FIRST_BYTE_WITHIN, Call, load_rows
from benchmarks.recorded_views import Conversation, Heads, Preambles, SideCalls, cached_end
from benchmarks.required import DATA, require_data
from farthing.core.hazard import FULL_RATIO, ExpectedUsage
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.core.prompt_cache_forecast import Forecast
from farthing.core.prompt_cache_learning import CacheCorrection
from farthing.pricing import Rates, effective_rates, require_card
from farthing.wire.usage import Usage

MAIN = "traces/claude-code-main.jsonl.gz"
SUBAGENTS = "traces/claude-code-subagents.jsonl.gz"

#: the three that are told apart in earnest: partial calls are too few to average over
MERGED = {"full": "all", "partial": "some", "head only": "some", "cold": "none"}

#: A gap longer than this is hard: the five-minute lifetime is near or past.
LONG_GAP = timedelta(minutes=4)

#: The client's own call leaves this long after a final answer.
SIDE_CALL_DELAY = timedelta(seconds=5)

USD = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One call with what was predicted of it."""

    call: Call
    forecast: Forecast
    expected: ExpectedUsage
    tags: frozenset[str]
    #: what of this prompt was cached as far as the conversation's own calls tell; for the first
    #: call of a row, what it could have read at most
    cached_tokens: int
    #: what the recorded calls before say of this one, whatever is predicted
    bounds: Bounds

    @property
    def actual(self) -> Usage:
        return self.call.usage

    @property
    def actual_class(self) -> str:
        return self._class(self.actual.cache_read)

    @property
    def predicted_class(self) -> str:
        return self._class(self.forecast.usage.cache_read)

    def _class(self, read: int) -> str:
        if not read:
            return "cold"
        if read >= FULL_RATIO * self.cached_tokens:
            return "full"
        return "head only" if read <= 1.05 * self.call.row.hidden_tokens else "partial"

    @property
    def is_break(self) -> bool:
        """By the recording alone: alive, nothing visible changed, and yet less was read."""
        return self.bounds.is_break(self.actual.cache_read)

    @property
    def is_revival(self) -> bool:
        """By the recording alone: it read what no recorded call wrote, or kept alive."""
        return self.bounds.is_revival(self.actual.cache_read)

    @property
    def rates(self) -> Rates:
        card = require_card(self.call.model, on=self.call.began_at.date())
        return effective_rates(card, prompt_tokens=self.actual.prompt)

    @property
    def actual_usd(self) -> float:
        return input_usd(self.actual, self.rates)

    @property
    def predicted_usd(self) -> float:
        return input_usd(self.forecast.usage, self.rates)

    @property
    def expected_usd(self) -> float:
        return input_usd(self.expected, self.rates)

    @property
    def error_usd(self) -> float:
        return abs(self.predicted_usd - self.actual_usd)


def input_usd(usage: Usage | ExpectedUsage, rates: Rates) -> float:
    """Dollars of the input side; recorded output counts are not usable."""
    return USD * (
        usage.uncached * rates.uncached
        + usage.cache_write_5m * rates.cache_write_5m
        + usage.cache_write_1h * rates.cache_write_1h
        + usage.cache_read * rates.cache_read
    )


class CacheModel(Protocol):
    """What is driven: the core's model, or another witness (``fidelity_emulator``)."""

    def begin(self, view: PrefixView, now: datetime) -> Forecast: ...

    def expect(self, view: PrefixView, forecast: Forecast, now: datetime) -> ExpectedUsage: ...

    def observe(
        self,
        view: PrefixView,
        forecast: Forecast,
        *,
        began_at: datetime,
        first_byte_at: datetime,
        usage: Usage | None = None,
    ) -> CacheCorrection | None: ...


class Replay:
    """All calls in the order of time through one prompt cache."""

    def __init__(self, cache: CacheModel | None = None) -> None:
        self._cache = PromptCache() if cache is None else cache
        self._heads = Heads()
        self._preambles = Preambles()
        self._side_calls = SideCalls()
        self._conversations: dict[str, Conversation] = {}
        self._last: dict[str, Call] = {}
        self._bounds = RecordedBounds()
        self._order = count()
        self._due: list[tuple[datetime, bool, int, Callable[[], None]]] = []
        self.scored: list[Scored] = []

    def run(self, calls: Iterable[Call]) -> list[Scored]:
        """Starts and ends of all calls, each at its time."""
        for call in calls:
            self._at(call.began_at, partial(self._start, call), is_start=True)
        while self._due:
            *_, action = heapq.heappop(self._due)
            action()
        return self.scored

    def _at(self, when: datetime, action: Callable[[], None], *, is_start: bool = False) -> None:
        """An answer that ends when the next request starts comes before it."""
        heapq.heappush(self._due, (when, is_start, next(self._order), action))

    def _start(self, call: Call) -> None:
        conversation = self._conversations.setdefault(
            call.row.id, Conversation(self._heads, self._preambles)
        )
        view = conversation.view(call)
        forecast = self._cache.begin(view, call.began_at)
        scored = Scored(
            call=call,
            forecast=forecast,
            expected=self._cache.expect(view, forecast, call.began_at),
            tags=_tags(self._last.get(call.row.id), call),
            bounds=self._bounds.next(call),
            cached_tokens=min(conversation.cached_end or cached_end(call.usage), call.usage.prompt),
        )
        self._last[call.row.id] = call
        self.scored.append(scored)
        self._at(call.done_at, partial(self._end, call, conversation, view, forecast))

    def _end(
        self, call: Call, conversation: Conversation, view: PrefixView, forecast: Forecast
    ) -> None:
        correction = self._cache.observe(
            view,
            forecast,
            began_at=call.began_at,
            first_byte_at=call.first_byte_at,
            usage=call.usage,
        )
        if correction is not None:
            self._heads.learn(call, correction.block)
        self._preambles.learn(call)
        self._side_calls.learn(call, conversation)
        conversation.learn(call, view)
        if call.ends and self._side_calls.are_expected(call):
            self._at(call.done_at + SIDE_CALL_DELAY, partial(self._side_call, call, conversation))

    def _side_call(self, call: Call, conversation: Conversation) -> None:
        began_at = call.done_at + SIDE_CALL_DELAY
        view = conversation.side_view(call)
        forecast = self._cache.begin(view, began_at)
        first_byte_at = began_at + FIRST_BYTE_WITHIN
        self._cache.observe(view, forecast, began_at=began_at, first_byte_at=first_byte_at)


def _tags(before: Call | None, call: Call) -> frozenset[str]:
    """What makes a call hard to predict; easy calls have none."""
    if before is None:
        return frozenset({"first call"})
    tests = {
        "gap > 4 min": call.began_at - before.began_at > LONG_GAP,
        "model change": call.model != before.model,
        "shrunk history": call.usage.prompt < before.usage.prompt,
    }
    return frozenset(tag for tag, holds in tests.items() if holds)


# -- figures --------------------------------------------------------------------------------------


def recalls(scored: Sequence[Scored], names: Mapping[str, str]) -> dict[str, float]:
    """Of the calls that were of a class, the share predicted so; ``names`` merges classes."""
    total = Counter(names[each.actual_class] for each in scored)
    right = Counter(
        names[each.actual_class]
        for each in scored
        if names[each.actual_class] == names[each.predicted_class]
    )
    return {name: right[name] / total[name] for name in total}


def balanced(scored: Sequence[Scored], names: Mapping[str, str]) -> float:
    """The mean of the recalls: a class counts as much as any other, however rare."""
    shares = recalls(scored, names)
    return sum(shares.values()) / len(shares)


def accuracy(scored: Sequence[Scored], *, always: str | None = None) -> float:
    """The share of calls whose class was predicted, or would be by always saying one."""
    return sum((always or each.predicted_class) == each.actual_class for each in scored) / len(
        scored
    )


def error_ratio(scored: Sequence[Scored]) -> float:
    """Absolute dollar error per call, over the dollars."""
    return sum(each.error_usd for each in scored) / sum(each.actual_usd for each in scored)


def without(scored: Sequence[Scored], test: Callable[[Scored], bool]) -> list[Scored]:
    """The calls of conversations in which no call passes the test."""
    rows = {each.call.row.id for each in scored if test(each)}
    return [each for each in scored if each.call.row.id not in rows]


def figures(scored: Sequence[Scored]) -> dict[str, float]:
    """Everything ``--json`` prints; the two figures that count come first."""
    unbroken = without(scored, lambda each: each.is_break)
    first = {
        "hard_balanced_accuracy": balanced([each for each in scored if each.tags], MERGED),
        "abs_dollar_error_unbroken": error_ratio([e for e in unbroken if not e.is_revival]),
    }
    return first | accuracies(scored) | errors(scored) | expectations(scored) | sizes(scored)


def accuracies(scored: Sequence[Scored]) -> dict[str, float]:
    """Other readings of the confusion tables, and what "everything is read" would score."""
    hard = [each for each in scored if each.tags]
    easy = [each for each in scored if not each.tags]
    exact = {name: name for name in CLASSES}
    is_read = {name: str(name == "full") for name in CLASSES}
    return {
        "hard_balanced_accuracy_four_classes": balanced(hard, exact),
        "hard_balanced_accuracy_read_or_not": balanced(hard, is_read),
        "hard_accuracy": accuracy(hard),
        "hard_accuracy_all_read": accuracy(hard, always="full"),
        "easy_accuracy": accuracy(easy),
        "easy_accuracy_all_read": accuracy(easy, always="full"),
    }


def errors(scored: Sequence[Scored]) -> dict[str, float]:
    """Absolute dollar errors, and how much of the traffic they speak of."""
    unbroken = without(scored, lambda each: each.is_break)
    accounted = without(unbroken, lambda each: each.is_revival)
    dollars = usd(scored)
    return {
        "abs_dollar_error_unbroken_with_revivals": error_ratio(unbroken),
        "abs_dollar_error_accounted": error_ratio(accounted),
        "abs_dollar_error_all": error_ratio(scored),
        "unbroken_dollar_ratio": usd(unbroken) / dollars,
        "accounted_dollar_ratio": usd(accounted) / dollars,
        "break_call_ratio": sum(each.is_break for each in scored) / len(scored),
        "break_dollar_ratio": sum(e.error_usd for e in scored if e.is_break) / dollars,
        "revival_call_ratio": sum(each.is_revival for each in scored) / len(scored),
        "revival_dollar_ratio": sum(e.error_usd for e in scored if e.is_revival) / dollars,
    }


def expectations(scored: Sequence[Scored]) -> dict[str, float]:
    """Sums of point and expectation over the actual sum: here errors may cancel, and should."""
    rows = {each.call.row.id for each in scored if each.is_break}
    found: dict[str, float] = {}
    for name, calls in (("", scored), ("_broken", [e for e in scored if e.call.row.id in rows])):
        found[f"predicted_over_actual_usd{name}"] = sum(e.predicted_usd for e in calls) / usd(calls)
        found[f"expected_over_actual_usd{name}"] = sum(e.expected_usd for e in calls) / usd(calls)
    return found


def sizes(scored: Sequence[Scored]) -> dict[str, float]:
    """How much was measured."""
    unbroken = without(scored, lambda each: each.is_break)
    return {
        "calls": len(scored),
        "hard_calls": sum(bool(each.tags) for each in scored),
        "conversations": len({each.call.row.id for each in scored}),
        "conversations_unbroken": len({each.call.row.id for each in unbroken}),
        "input_usd": usd(scored),
    }


def usd(scored: Sequence[Scored]) -> float:
    """What these calls really cost on the input side."""
    return sum(each.actual_usd for each in scored)


def main() -> None:
    """Parse arguments, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--json", action="store_true", help="figures as the last line")
    arguments = parser.parse_args()
    require_data(arguments.data / MAIN)
    rows = [row for name in (MAIN, SUBAGENTS) for row in load_rows(arguments.data / name)]
    everything = Replay().run([call for _, calls in rows for call in calls])
    scored = [each for each in everything if not each.call.row.is_subagent]
    print_confusion("hard", [each for each in scored if each.tags])
    print_confusion("easy", [each for each in scored if not each.tags])
    for tag in ("first call", "gap > 4 min", "model change", "shrunk history"):
        print_confusion(tag, [each for each in scored if tag in each.tags])
    print_causes(scored)
    print_errors(scored)
    found = figures(scored)
    print()
    for name, value in found.items():
        print(f"{name:44}{value:>12.4f}" if isinstance(value, float) else f"{name:44}{value:>12,}")
    if arguments.json:
        print(json.dumps(found))


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the command line in the docstring on its own line."""


if __name__ == "__main__":
    main()
