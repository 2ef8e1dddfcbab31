"""Would the other TTL have been cheaper: two what-ifs over the calls as they were made.

Rule from outside: writing for an hour costs 2 × input, for five minutes 1.25 ×, and nothing is
gained until a pause of 5 to 60 minutes comes (API facts, section 1.6). So both questions have one
shape: what the pauses cost or would cost, against what the writes cost more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farthing.traces.audit.counted import CountedCall
from farthing.traces.audit.misses import TTL_SECONDS, Cause, Expected, Miss

__all__ = ["TtlChoice"]


@dataclass(slots=True)
class TtlChoice:
    """Running sums in 10⁻¹² USD; estimates."""

    #: what 5-60 minute pauses cost threads that write for five minutes
    lost_to_5m: float = 0.0
    #: what writing for an hour would have added to them
    hour_surcharge: float = 0.0
    #: what writing for an hour cost more than writing for five minutes
    hour_premium: float = 0.0
    #: what 5-60 minute pauses would have cost, had these threads written for five minutes
    saved_by_1h: float = 0.0

    @property
    def gain_of_1h(self) -> float:
        """What one-hour writes would have saved the threads that do not use them."""
        return self.lost_to_5m - self.hour_surcharge

    @property
    def gain_of_5m(self) -> float:
        """What five-minute writes would have saved the threads that do not use them."""
        return self.hour_premium - self.saved_by_1h

    def add(
        self, calls: Sequence[CountedCall], misses: Sequence[Miss], before: Expected | None
    ) -> None:
        """One stretch of a thread."""
        for miss in misses:
            if miss.cause is Cause.EXPIRED_5M:
                self.lost_to_5m += miss.estimated_pico or 0.0
        for call in calls:
            self._add_writes(call)
        times = [before.at if before else None, *(call.at for call in calls)]
        for earlier, call in zip(times, calls, strict=False):
            if earlier is not None and call.at is not None:
                self._add_pause(call, call.at - earlier)

    def _add_writes(self, call: CountedCall) -> None:
        if not call.billed or call.usage is None or call.rates is None:
            return
        premium = call.rates.cache_write_1h - call.rates.cache_write_5m
        self.hour_surcharge += call.usage.cache_write_5m * premium
        self.hour_premium += call.usage.cache_write_1h * premium

    def _add_pause(self, call: CountedCall, seconds: float) -> None:
        if not call.billed or call.usage is None or call.rates is None:
            return
        survived = call.usage.cache_read
        if TTL_SECONDS["5m"] <= seconds < TTL_SECONDS["1h"] and survived:
            rewrite = call.rates.cache_write_5m - call.rates.cache_read
            self.saved_by_1h += survived * rewrite
