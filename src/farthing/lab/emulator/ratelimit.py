"""Rate limits as token buckets with continuous refill, and the headers that tell of them.

Source: API facts, section 4.5 (table of 2026-10-08). Requests, input tokens (cache reads do not
count) and output tokens have a bucket each, per organization and model class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from farthing.lab.emulator.catalog import Model
from farthing.lab.emulator.refusal import Refusal
from farthing.lab.emulator.settings import Tier

__all__ = ["Limits", "RateLimiter", "model_class"]

_NAMES = ("requests", "input-tokens", "output-tokens")
_COUNTING = {"start": 2_000, "build": 4_000, "scale": 8_000, "unlimited": 8_000}
_BATCHING = {"start": 1_000, "build": 2_000, "scale": 4_000, "unlimited": 4_000}


@dataclass(frozen=True, slots=True)
class Limits:
    """Per minute."""

    requests: int
    input_tokens: int
    output_tokens: int


_FABLE = {
    "start": Limits(1_000, 500_000, 100_000),
    "build": Limits(2_000, 1_500_000, 300_000),
    "scale": Limits(4_000, 4_000_000, 800_000),
}
_OTHERS = {
    "start": Limits(1_000, 2_000_000, 400_000),
    "build": Limits(5_000, 5_000_000, 1_000_000),
    "scale": Limits(10_000, 10_000_000, 2_000_000),
}


def model_class(model: Model) -> str:
    """Which models share a bucket: all Fable 5.x, all Opus 4.x, all Sonnet 4.x; else its own."""
    if model.line in ("fable", "mythos"):
        return "fable"
    generation = f"claude-{model.line}-4"
    return generation if model.id.startswith(generation) and model.line != "haiku" else model.id


@dataclass(slots=True)
class _Bucket:
    capacity: float
    level: float
    at: float

    def refill(self, now: float) -> None:
        if now > self.at:
            self.level = min(self.capacity, self.level + (now - self.at) * self.capacity / 60)
            self.at = now

    def seconds_until(self, amount: float) -> float:
        return max(0.0, min(amount, self.capacity) - self.level) * 60 / self.capacity

    def reset_at(self) -> str:
        full = self.at + self.seconds_until(self.capacity)
        return datetime.fromtimestamp(ceil(full), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class RateLimiter:
    """The buckets of every organization."""

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._buckets: dict[tuple[str, str], tuple[_Bucket, ...]] = {}

    def admit(
        self, organization: str, model: Model, now: float, *, input_tokens: int
    ) -> dict[str, str]:
        """Take one request and its input tokens, or refuse; the headers to answer with."""
        buckets = self._of(organization, model, now)
        needs = (1, input_tokens, 0)
        wait = max(bucket.seconds_until(need) for bucket, need in zip(buckets, needs, strict=True))
        if buckets[2].level < 0:
            wait = max(wait, buckets[2].seconds_until(1))
        if self._tier != "unlimited":
            if wait > 0:
                raise self._refusal(buckets, wait)
            for bucket, need in zip(buckets, needs, strict=True):
                bucket.level -= need
        return _headers(buckets)

    def produced(self, organization: str, model: Model, now: float, *, output_tokens: int) -> None:
        """Take what was produced; ``max_tokens`` does not matter."""
        if self._tier != "unlimited":
            self._of(organization, model, now)[2].level -= output_tokens

    def admit_simple(self, organization: str, family: str, now: float) -> None:
        """The request limit of count_tokens or of the batch endpoints."""
        per_minute = (_COUNTING if family == "count_tokens" else _BATCHING)[self._tier]
        key = (organization, family)
        (bucket,) = self._buckets.setdefault(key, (_Bucket(per_minute, per_minute, now),))
        bucket.refill(now)
        if self._tier != "unlimited":
            if bucket.level < 1:
                raise self._refusal((bucket,), bucket.seconds_until(1))
            bucket.level -= 1

    def _of(self, organization: str, model: Model, now: float) -> tuple[_Bucket, ...]:
        key = (organization, model_class(model))
        if key not in self._buckets:
            table = _FABLE if key[1] == "fable" else _OTHERS
            limits = table["scale" if self._tier == "unlimited" else self._tier]
            amounts = (limits.requests, limits.input_tokens, limits.output_tokens)
            self._buckets[key] = tuple(_Bucket(n, n, now) for n in amounts)
        buckets = self._buckets[key]
        for bucket in buckets:
            bucket.refill(now)
        return buckets

    def _refusal(self, buckets: tuple[_Bucket, ...], wait: float) -> Refusal:
        headers = _headers(buckets) if len(buckets) == 3 else {}
        headers["retry-after"] = str(max(1, ceil(wait)))
        return Refusal(
            429, "This request would exceed your organization's rate limit.", headers=headers
        )


def _headers(buckets: tuple[_Bucket, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, bucket in zip(_NAMES, buckets, strict=True):
        headers.update(_bucket_headers(name, bucket))
    tightest = min(buckets[1:], key=lambda bucket: bucket.level / bucket.capacity)
    headers.update(_bucket_headers("tokens", tightest))
    return headers


def _bucket_headers(name: str, bucket: _Bucket) -> Mapping[str, str]:
    remaining = max(0, int(bucket.level))
    if name != "requests":  # token counts are told to the nearest thousand
        remaining = round(remaining / 1000) * 1000
    return {
        f"anthropic-ratelimit-{name}-limit": str(int(bucket.capacity)),
        f"anthropic-ratelimit-{name}-remaining": str(remaining),
        f"anthropic-ratelimit-{name}-reset": bucket.reset_at(),
    }
