"""How long an answer may take to begin: the 99th percentile per model and size class, learned.

Theory of operation. What decides the time to the first byte is the part of the prompt that is
processed anew, so times are kept per model and power of two of those tokens. Until a class has seen
``_ENOUGH`` answers, the prior counts as one of them: two seconds, and one more per 4,000 tokens,
about twice what prefill is said to take. A percentile of few times would be a guess below the
truth, and a wait that ends too early costs a second write of the prefix.

Rules of this file: durations are nanoseconds of the monotonic clock; memory is bounded by
``_CLASSES`` × ``_WINDOW`` numbers.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

__all__ = ["FirstByteTimes"]

_SECOND_NS: Final = 1_000_000_000
_PRIOR_SECONDS: Final = 2.0
_PRIOR_TOKENS_PER_SECOND: Final = 4_000

#: fewer times than this do not know their 99th percentile
_ENOUGH: Final = 100
_WINDOW: Final = 200
_CLASSES: Final = 256


class FirstByteTimes:
    """Times to first byte of streamed answers."""

    def __init__(self) -> None:
        self._classes: OrderedDict[tuple[str, int], deque[int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._classes)

    def record(self, model: str, tokens: int, took_ns: int) -> None:
        """An answer to a prompt with this many new tokens began after this time."""
        key = (model, tokens.bit_length())
        self._classes.setdefault(key, deque(maxlen=_WINDOW)).append(took_ns)
        self._classes.move_to_end(key)
        if len(self._classes) > _CLASSES:
            self._classes.popitem(last=False)

    def p99_ns(self, model: str, tokens: int) -> int:
        """By then 99 of 100 such answers have begun."""
        times = sorted(self._classes.get((model, tokens.bit_length()), ()))
        if len(times) < _ENOUGH:
            prior = _PRIOR_SECONDS + tokens / _PRIOR_TOKENS_PER_SECOND
            return max(round(prior * _SECOND_NS), times[-1] if times else 0)
        return times[-(len(times) // 100) - 1]
