"""How circuits stand and what they refused, as Prometheus reads it; names stay in the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from farthing.core.breaker import Breakers

__all__ = ["breaker_lines"]


def breaker_lines(breakers: Breakers) -> Iterator[str]:
    """All of it in Prometheus' text format; labels are kinds and causes, a handful of each."""
    yield from _family(
        "farthing_breakers_open", "gauge", "Circuits that are not closed", breakers.open_now()
    )
    yield from _family(
        "farthing_breakers_opened_total",
        "counter",
        "Times that a circuit opened, again included",
        breakers.opened,
    )
    yield from _family(
        "farthing_breakers_refused_total",
        "counter",
        "Calls that a circuit refused",
        breakers.refused,
    )


def _family(
    name: str, kind: str, words: str, counts: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    yield f"# HELP {name} {words}."
    yield f"# TYPE {name} {kind}"
    for (scope, why), count in sorted(counts.items()):
        yield f'{name}{{scope="{scope}",why="{why}"}} {count}'
