"""From a recorded call to the ``PrefixView`` its client must have sent; knows no answer in advance.

The transcript hides tools and system, so the prefix is two blocks: a *head* (tools and identity,
the first system mark), shared per user, model and client version, and a *preamble* (the long
prompt with directory and project, the second mark), shared inside a session. Behind them come the
recorded blocks; the last one carries the third mark.

What a view takes from the provider's numbers: the total of *this* call (the token estimator has its
own benchmark), and reads and writes of *earlier* calls only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from benchmarks.recorded_calls import Call, Piece
from farthing.core.prefix import LIFETIMES, Mark, PrefixView
from farthing.core.prompt_cache_paths import common_blocks
from farthing.wire.usage import Usage

__all__ = ["Conversation", "Heads", "Preambles", "SideCalls", "cached_end"]

#: Only the last turn's thinking stays in the prompt of these (API facts 6.4).
LAST_TURN_THINKING = ("claude-sonnet-4-5", "claude-haiku-4-5")

THINKING = frozenset({"thinking", "redacted_thinking"})

#: The first positions of head and preamble, as shares of the hidden prefix, before any is measured.
HEAD_RATIO, PREAMBLE_RATIO = 0.55, 0.75

#: What the provider adds behind the last mark: 3 to 10 tokens. More is something else.
LARGEST_TAIL = 200

MINIMUM_TOKENS = 1024


class Heads:
    """Where head and preamble end: measured by earlier reads that stopped there."""

    def __init__(self) -> None:
        self._ends: dict[tuple[object, ...], int] = {}

    def ends(self, call: Call) -> tuple[int, int]:
        hidden = call.row.hidden_tokens
        head = self._ends.get((*head_key(call), 0), int(HEAD_RATIO * hidden))
        preamble = self._ends.get((*head_key(call), 1), int(PREAMBLE_RATIO * hidden))
        return min(head, hidden), min(max(head, preamble), hidden)

    def is_measured(self, call: Call) -> bool:
        """Has a read stopped at this head before?"""
        return (*head_key(call), 0) in self._ends

    def learn(self, call: Call, block: int) -> None:
        if block in {0, 1} and call.usage.cache_read:
            self._ends[*head_key(call), block] = call.usage.cache_read


def head_key(call: Call) -> tuple[object, ...]:
    """Who shares a head."""
    return (call.row.user, call.model, call.row.version, call.row.is_subagent)


class SideCalls:
    """Does this client, behind a final answer, call on its own with the whole conversation?

    Many versions do (they suggest the next prompt). The call never reaches the transcript, but it
    writes the answer into the cache and restarts the lifetime: the next recorded call reads beyond
    the end of the one before. Learned per user and version from earlier calls; a version not seen
    yet takes the user's last rate, a user not seen yet everybody's.
    """

    def __init__(self) -> None:
        self._rates: dict[tuple[str, ...], float] = {}

    def are_expected(self, call: Call) -> bool:
        return not call.row.is_subagent and self._rate(call) > 0.4

    def learn(self, call: Call, conversation: Conversation) -> None:
        """``call`` follows a final answer, and at least that conversation was read."""
        before, read = conversation.cached_end, call.usage.cache_read
        if not call.follows_end or read < 0.9 * min(call.usage.prompt, before):
            return
        # Where older thinking is dropped, nothing else could have cached the history without it.
        seen = read > before + 3 or call.model.startswith(LAST_TURN_THINKING)
        rate = 0.6 * self._rate(call) + 0.4 * seen
        everybody = 0.95 * self._rates.get((), 0.0) + 0.05 * rate
        user = call.row.user
        self._rates.update({(user, call.row.version): rate, (user,): rate, (): everybody})

    def _rate(self, call: Call) -> float:
        user = call.row.user
        keys = ((user, call.row.version), (user,), ())
        return next((self._rates[key] for key in keys if key in self._rates), 0.0)


class Preambles:
    """Does a new row of a session (behind a compaction, a fork) read the session's preamble?

    Some client versions repeat it byte for byte, others change it and read the head alone. Learned
    like side calls: per user and version, then the user's last, then everybody's.
    """

    def __init__(self) -> None:
        self._rates: dict[tuple[str, ...], float] = {}
        self._sessions: dict[tuple[str, bool], datetime] = {}
        self._waiting: dict[str, tuple[int, bool]] = {}

    def key(self, call: Call, head: int, *, is_measured: bool) -> str:
        """What tells the preamble of this row from others; asked at its first call."""
        session = (call.row.session_id, call.row.is_subagent)
        before = self._sessions.get(session)
        if before is not None and call.began_at - before < LIFETIMES[call.row.ttl]:
            self._waiting[call.row.id] = head, is_measured
        return repr(session) if self._rate(call) > 0.5 else repr((session, call.row.id))

    def learn(self, call: Call) -> None:
        """An answer; the first of a row shows whether more than the head was read."""
        self._sessions[call.row.session_id, call.row.is_subagent] = call.began_at
        head, is_measured = self._waiting.pop(call.row.id, (0, False))
        shared = call.usage.cache_read > 1.02 * head
        if not call.usage.cache_read or (shared and not is_measured):
            return  # beyond a guess of where the head ends: it may be the head itself
        rate = 0.5 * self._rate(call) + 0.5 * shared
        self._rates.update(dict.fromkeys(self._keys(call), rate))

    def _rate(self, call: Call) -> float:
        return next((self._rates[key] for key in self._keys(call) if key in self._rates), 1.0)

    def _keys(self, call: Call) -> tuple[tuple[str, ...], ...]:
        kind = "sub-agent" if call.row.is_subagent else "main"
        return ((kind, call.row.user, call.row.version), (kind, call.row.user), (kind,))


class Conversation:
    """What earlier calls of one row have shown; makes the view of the next."""

    def __init__(self, heads: Heads, preambles: Preambles) -> None:
        self._heads = heads
        self._preambles = preambles
        self._preamble_key = ""
        self._rewrites = 0
        self._tail_tokens = 3
        self._digests: Sequence[bytes] = ()
        self._positions: Sequence[int] = ()
        self.cached_end = 0
        self.prompt = 0

    def view(self, call: Call) -> PrefixView:
        """The request of ``call``."""
        pieces = _kept(call.pieces, call.model)
        if call.usage.prompt < self.prompt and len(pieces) == len(call.pieces):
            # A prompt that shrinks without dropped thinking: the client rewrote its history. A real
            # request shows that in its digests; here only the total does.
            self._rewrites += 1
        head, preamble = self._heads.ends(call)
        if not self._preamble_key:
            is_measured = self._heads.is_measured(call)
            self._preamble_key = self._preambles.key(call, head, is_measured=is_measured)
        end = max(call.usage.prompt - self._tail_tokens, preamble)
        return self._assemble(call, pieces, [head, preamble], end, call.usage.prompt)

    def side_view(self, call: Call) -> PrefixView:
        """A request the client makes by itself behind a final answer, marked at that answer."""
        pieces = _kept((*call.pieces, *call.answer), call.model, is_user_next=True)
        head, preamble = self._heads.ends(call)
        end = max(call.usage.prompt, preamble) + int(sum(piece.weight for piece in call.answer))
        return self._assemble(call, pieces, [head, preamble], end, end)

    def learn(self, call: Call, view: PrefixView) -> None:
        """Take in what the answer measured."""
        usage = call.usage
        if usage.uncached < LARGEST_TAIL:
            self._tail_tokens = usage.uncached
        self.cached_end, self.prompt = cached_end(usage), usage.prompt
        self._digests = view.digests
        self._positions = (*view.positions[:-1], self.cached_end)

    def _assemble(
        self, call: Call, pieces: Sequence[Piece], hidden: list[int], end: int, total: int
    ) -> PrefixView:
        digests = _digests(call, pieces, self._rewrites, self._preamble_key)
        known = self._positions[2 : common_blocks(self._digests, digests)]
        weights = [piece.weight for piece in pieces[len(known) :]]
        positions = _place(hidden, known, weights, min(call.row.hidden_tokens, end), end)
        marks = tuple(Mark(index=index, ttl=call.row.ttl) for index in _marked(pieces))
        return PrefixView(
            scope=call.row.user,
            model=call.model,
            digests=digests,
            positions=positions,
            total_tokens=total,
            marks=marks,
            min_cacheable_tokens=MINIMUM_TOKENS,
            tools_end=1,
            system_end=2,
            lineage_id=f"{call.row.session_id} {call.row.is_subagent}",
        )


def _place(
    hidden: Sequence[int], known: Sequence[int], weights: Sequence[float], start: int, end: int
) -> list[int]:
    """Positions known from earlier calls stay; new blocks share the growth by their weight."""
    kept = [position for position in known if position <= end]
    start = kept[-1] if kept else start
    whole = sum(weights) or 1.0
    fresh = [start + int((end - start) * part / whole) for part in accumulate(weights)]
    padding = [end] * (len(known) - len(kept))
    return list(accumulate([*hidden, *kept, *padding, *fresh], max))


def cached_end(usage: Usage) -> int:
    """Tokens through the last mark, as billed."""
    return usage.prompt - usage.uncached


def _kept(pieces: Sequence[Piece], model: str, *, is_user_next: bool = False) -> Sequence[Piece]:
    """The pieces that are in the prompt: older thinking is dropped where the model does so."""
    if not model.startswith(LAST_TURN_THINKING):
        return pieces
    turns = [
        index
        for index, piece in enumerate(pieces)
        if piece.role == "user" and piece.kind != "tool_result"
    ]
    last = len(pieces) if is_user_next else max(turns, default=0)
    return [
        piece for index, piece in enumerate(pieces) if index > last or piece.kind not in THINKING
    ]


def _marked(pieces: Sequence[Piece]) -> list[int]:
    """Head, preamble, and the last blocks of the last two messages.

    Client 2.1.197 marks the last message only (recorded in 2026-11). The clients of these traces
    must have marked two: ten calls with 20 to 27 new blocks, in two messages, all read everything.
    """
    last_answer = [
        index
        for index, piece in enumerate(pieces[:-1])
        if piece.role == "assistant" and piece.kind not in THINKING
    ]
    return [0, 1, *(2 + index for index in last_answer[-1:]), 1 + len(pieces)]


def _digests(call: Call, pieces: Sequence[Piece], rewrites: int, preamble: str) -> list[bytes]:
    head = _digest(b"", repr(head_key(call)).encode())
    chain = [head, _digest(head, preamble.encode())]
    seed = _digest(chain[-1], str(rewrites).encode()) if rewrites else chain[-1]
    for piece in pieces:
        seed = _digest(seed, piece.digest)
        chain.append(seed)
    return chain


def _digest(before: bytes, piece: bytes) -> bytes:
    return hashlib.blake2b(before + piece, digest_size=16).digest()
