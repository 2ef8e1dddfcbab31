"""How circuits stand and what they refused, as Prometheus reads it; names stay in the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from farthing.core.breaker import Breakers
from farthing.gateway.metrics_text import family, sample

__all__ = ["breaker_lines"]

_OPEN, _OPENED, _REFUSED = (
    "farthing_breakers_open",
    "farthing_breakers_opened_total",
    "farthing_breakers_refused_total",
)


def breaker_lines(breakers: Breakers) -> Iterator[str]:
    """All of it in Prometheus' text format; labels are kinds and causes, a handful of each."""
    yield from family(_OPEN, "gauge", "Circuits that are not closed")
    yield from _samples(_OPEN, breakers.open_now())
    yield from family(_OPENED, "counter", "Times that a circuit opened, again included")
    yield from _samples(_OPENED, breakers.opened)
    yield from family(_REFUSED, "counter", "Calls that a circuit refused")
    yield from _samples(_REFUSED, breakers.refused)


def _samples(name: str, counts: Mapping[tuple[str, str], int]) -> Iterator[str]:
    for (scope, why), count in sorted(counts.items()):
        yield sample(name, (("scope", scope), ("why", why)), count)
