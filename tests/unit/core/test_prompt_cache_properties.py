"""Properties, and a reference that follows the pseudo-code of the API facts (2.2) line by line."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farthing.core.prefix import LIFETIMES, Mark, PrefixView, Ttl
from farthing.core.prompt_cache import PromptCache
from farthing.wire.usage import Usage
from tests.unit.core.prompts import at, prompt


@dataclass(frozen=True)
class Sent:
    """One request of a random workload."""

    view: PrefixView
    began_at: datetime
    first_byte_at: datetime


@dataclass
class Reference:
    """``store[(scope, model, H[p])]`` as plain dicts; nothing clever."""

    store: dict[Any, dict[str, Any]] = field(default_factory=dict)

    def key(self, view: PrefixView, position: int) -> Any:
        return (view.scope, view.model, view.digests[position])

    def serve(self, sent: Sent) -> Usage:
        view, now = sent.view, sent.began_at
        tok = view.positions
        marks = {mark.index: mark.ttl for mark in view.marks}
        bps = sorted(marks)
        read, hit = 0, -1
        for b in reversed(bps):
            for k in range(20):
                p = b - k
                if p < 0:
                    break
                e = self.store.get(self.key(view, p))
                if e and e["usable_from"] <= now < e["expires"]:
                    read, hit = tok[p], p
                    break
            if hit >= 0:
                break
        for p in range(hit + 1):  # the hit, and earlier entries on the same prefix
            e = self.store.get(self.key(view, p))
            if e and e["usable_from"] <= now < e["expires"]:
                e["expires"] = now + e["ttl"]
        written = [b for b in bps if tok[b] > read and tok[b] >= view.min_cacheable_tokens]
        for b in written:
            before = self.store.get(self.key(view, b))
            usable = sent.first_byte_at
            if before and before["usable_from"] > now:  # still being written by an earlier request
                usable = min(usable, before["usable_from"])
            ttl = LIFETIMES[marks[b]]
            self.store[self.key(view, b)] = {
                "ttl": ttl,
                "expires": now + ttl,
                "usable_from": usable,
            }
        end_1h = max([tok[b] for b in written if marks[b] == "1h"], default=read)
        end = max([tok[b] for b in written], default=read)
        return Usage(
            cache_read=read,
            cache_write_1h=end_1h - read,
            cache_write_5m=end - end_1h,
            uncached=view.total_tokens - end,
        )


def played(requests: list[Sent], cache: PromptCache) -> list[Usage]:
    """What the model forecasts, with starts and first bytes in the order of time."""
    forecasts: dict[int, Any] = {}
    due = [(sent.began_at, 1, index) for index, sent in enumerate(requests)]
    due += [(sent.first_byte_at, 0, index) for index, sent in enumerate(requests)]
    heapq.heapify(due)
    while due:
        _, is_start, index = heapq.heappop(due)
        sent = requests[index]
        if is_start:
            forecasts[index] = cache.begin(sent.view, sent.began_at)
        else:
            cache.observe(
                sent.view,
                forecasts[index],
                began_at=sent.began_at,
                first_byte_at=sent.first_byte_at,
            )
    return [forecasts[index].usage for index in range(len(requests))]


@st.composite
def views(draw: st.DrawFn) -> PrefixView:
    """Prompts over a small trunk, so that they share prefixes and fork."""
    trunk = draw(st.sampled_from(["x", "y"]))
    length = draw(st.integers(1, 60))
    fork = draw(st.integers(0, 60))
    words = [f"{trunk}{index}" if index < fork else f"fork{index}" for index in range(length)]
    marked = sorted(draw(st.sets(st.integers(0, length - 1), max_size=4)))
    hours = draw(st.integers(0, len(marked)))  # 1 h breakpoints come first
    return prompt(
        words,
        *[(index, "1h" if order < hours else "5m") for order, index in enumerate(marked)],
        rest=draw(st.integers(0, 50)),
        scope=draw(st.sampled_from(["one", "two"])),
        min_cacheable_tokens=draw(st.sampled_from([0, 3_000])),
    )


@st.composite
def workloads(draw: st.DrawFn) -> list[Sent]:
    requests: list[Sent] = []
    now = 0.0
    for view in draw(st.lists(views(), min_size=1, max_size=12)):
        now += draw(st.sampled_from([0.5, 2, 30, 299, 300, 301, 1_000, 3_600, 5_000]))
        first_byte = draw(st.sampled_from([0.25, 1, 3, 40]))
        requests.append(Sent(view, at(now), at(now + first_byte)))
    return requests


@given(workloads())
def test_the_model_agrees_with_the_reference(requests):
    reference = Reference()

    assert played(requests, PromptCache()) == [reference.serve(sent) for sent in requests]


@given(workloads())
def test_reads_writes_and_rest_add_up_to_the_prompt(requests):
    for sent, usage in zip(requests, played(requests, PromptCache()), strict=True):
        counts = (usage.cache_read, usage.cache_write_1h, usage.cache_write_5m, usage.uncached)

        assert usage.prompt == sent.view.total_tokens
        assert min(counts) >= 0


@given(workloads())
def test_nothing_is_read_that_was_not_written_at_a_mark(requests):
    marked: set[Any] = set()
    for sent, usage in zip(requests, played(requests, PromptCache()), strict=True):
        view = sent.view
        if usage.cache_read:
            block = view.positions.index(usage.cache_read)

            assert (view.scope, view.model, view.digests[block]) in marked
        marked |= {(view.scope, view.model, view.digests[mark.index]) for mark in view.marks}


def with_marks(requests: list[Sent], ttl: Ttl) -> list[Sent]:
    """The same prompts, all marked at the same places, all for one lifetime."""
    return [
        replace(
            sent,
            view=replace(
                sent.view,
                marks=tuple(
                    Mark(index=index, ttl=ttl)
                    for index in (4, 14, 30, 45)
                    if index < len(sent.view.digests)
                ),
            ),
        )
        for sent in requests
    ]


@given(workloads())
def test_with_fixed_marks_a_longer_lifetime_never_reads_less(requests):
    short = played(with_marks(requests, "5m"), PromptCache())
    long = played(with_marks(requests, "1h"), PromptCache())

    assert all(a.cache_read <= b.cache_read for a, b in zip(short, long, strict=True))


def test_with_moving_marks_a_longer_lifetime_may_read_less_later():
    """By the rules: a hit behind a mark keeps it from being written; a miss writes it."""

    def read_by_the_fork(ttl: Ttl) -> int:
        words = [f"x{index}" for index in range(36)]
        fork = [*words[:20], "fork"]
        requests = [
            Sent(prompt(words, (35, ttl)), at(0), at(1)),
            Sent(prompt(words, (15, ttl), (35, ttl)), at(400), at(401)),
            Sent(prompt(fork, (20, ttl)), at(410), at(411)),
        ]
        return played(requests, PromptCache())[-1].cache_read

    assert (read_by_the_fork("5m"), read_by_the_fork("1h")) == (16_000, 0)


@given(workloads(), st.data())
def test_no_answer_breaks_the_model(requests, data):
    cache = PromptCache(entries=20, paths=3)
    for sent in requests:
        forecast = cache.begin(sent.view, sent.began_at)
        total = sent.view.total_tokens
        read = data.draw(st.integers(0, total))
        written = data.draw(st.integers(0, total - read))
        usage = Usage(cache_read=read, cache_write_5m=written, uncached=total - read - written)
        cache.observe(
            sent.view,
            forecast,
            began_at=sent.began_at,
            first_byte_at=sent.first_byte_at,
            usage=usage,
        )
        after = cache.predict(sent.view, sent.first_byte_at + timedelta(seconds=1))
        expected = cache.expect(sent.view, after, sent.first_byte_at + timedelta(seconds=1))

        assert after.usage.prompt == total
        assert abs(expected.prompt - total) < 1e-6
        assert len(cache) <= 20
