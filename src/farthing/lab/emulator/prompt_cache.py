"""The provider's prompt cache: what is read, what is written, what expires.

Theory of operation (API facts, sections 2.2-2.7, documentation of 2026-10). A prompt is a chain of
blocks in render order; the key at a block is a hash of everything up to it, the model, and the
parameters that are rendered there. Entries are *written* only at breakpoints of at least the
model's minimum. A request *reads* by walking back from each breakpoint, last one first, over at
most 20 positions counting the breakpoint itself; the first living entry wins. An entry lives from
the first byte of the response that wrote it until its TTL after the *start* of the last request
that wrote or read it, or read a longer prefix through it. Rules of the file: no request validity,
no wall clock; ``now`` is seconds and an argument. Nothing is shared with the engine under test.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TTL_SECONDS", "Accounting", "Chain", "PromptCache"]

TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}
_LOOKBACK = 20
_SWEEP_EVERY = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One prompt: a key and the tokens so far for each position, and its breakpoints."""

    keys: tuple[bytes, ...]
    tokens: tuple[int, ...]
    breakpoints: tuple[tuple[int, str], ...]
    minimum: int

    @property
    def total(self) -> int:
        """Tokens of the whole prompt."""
        return self.tokens[-1] if self.tokens else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """How a prompt is billed; ``read + write_5m + write_1h + uncached`` is the prompt."""

    read: int
    write_5m: int
    write_1h: int
    uncached: int
    hit: int | None = None
    writes: tuple[tuple[int, str], ...] = ()

    @property
    def cached_end(self) -> int:
        """Tokens up to the last position that is in the prompt cache after this request."""
        return self.read + self.write_5m + self.write_1h

    @property
    def total(self) -> int:
        """Tokens of the prompt."""
        return self.cached_end + self.uncached


@dataclass(slots=True)
class _Entry:
    ttl: float
    usable_from: float
    expires: float


class PromptCache:
    """Entries of every organization and workspace; the scope is part of a key."""

    def __init__(self, *, lag_ratio: float = 0.0) -> None:
        self._lag_ratio = lag_ratio
        self._entries: dict[tuple[str, bytes], _Entry] = {}
        self._writes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def account(self, chain: Chain, scope: str, now: float, *, cold: bool = False) -> Accounting:
        """What a request would read and write at ``now``; changes nothing."""
        hit = None if cold else self._find(chain, scope, now)
        read = 0 if hit is None else chain.tokens[hit]
        writes = tuple(
            (at, ttl)
            for at, ttl in chain.breakpoints
            if chain.tokens[at] > read and chain.tokens[at] >= chain.minimum
        )
        end_1h = max([chain.tokens[at] for at, ttl in writes if ttl == "1h"], default=read)
        end = max([chain.tokens[at] for at, _ in writes], default=read)
        return Accounting(
            read=read,
            write_1h=end_1h - read,
            write_5m=end - end_1h,
            uncached=chain.total - end,
            hit=hit,
            writes=writes,
        )

    def commit(
        self, chain: Chain, scope: str, accounting: Accounting, now: float, usable_from: float
    ) -> None:
        """Refresh what was read, store what was written."""
        if accounting.hit is not None:
            self._refresh(chain, scope, accounting.hit, now)
        for at, ttl in accounting.writes:
            self._write((scope, chain.keys[at]), TTL_SECONDS[ttl], now, usable_from)
        self._writes += 1
        if self._writes % _SWEEP_EVERY == 0:
            self._entries = {k: e for k, e in self._entries.items() if self._gone_at(e) > now}

    def keep(self, scope: str, key: bytes, ttl: str, now: float, usable_from: float) -> None:
        """Store one more entry: the hidden breakpoint after a server tool's result (2.6)."""
        self._write((scope, key), TTL_SECONDS[ttl], now, usable_from)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _gone_at(self, entry: _Entry) -> float:
        """When it is deleted: promptly after its lifetime, not at once (section 2.3)."""
        return entry.expires + self._lag_ratio * entry.ttl

    def _find(self, chain: Chain, scope: str, now: float) -> int | None:
        for at, _ in reversed(chain.breakpoints):
            for position in range(at, max(-1, at - _LOOKBACK), -1):
                entry = self._entries.get((scope, chain.keys[position]))
                if entry is not None and entry.usable_from <= now < self._gone_at(entry):
                    return position
        return None

    def _refresh(self, chain: Chain, scope: str, hit: int, now: float) -> None:
        for key in chain.keys[: hit + 1]:
            entry = self._entries.get((scope, key))
            if entry is not None and now < self._gone_at(entry):
                entry.expires = max(entry.expires, now + entry.ttl)

    def _write(self, key: tuple[str, bytes], ttl: float, now: float, usable_from: float) -> None:
        old = self._entries.get(key)
        if old is None or now >= old.expires:
            self._entries[key] = _Entry(ttl, usable_from, now + ttl)
            return
        old.ttl = max(old.ttl, ttl)
        old.usable_from = min(old.usable_from, usable_from)
        old.expires = max(old.expires, now + ttl)
