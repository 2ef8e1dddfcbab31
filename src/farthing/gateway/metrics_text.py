"""Lines of Prometheus' text format (version 0.0.4), for whatever has figures to show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

__all__ = ["family", "sample"]

_Kind = Literal["counter", "gauge", "histogram"]


def family(name: str, kind: _Kind, words: str) -> Iterator[str]:
    """What stands above the samples of one name."""
    yield f"# HELP {name} {words}."
    yield f"# TYPE {name} {kind}"


def sample(name: str, labels: tuple[tuple[str, str], ...], value: int | str) -> str:
    """One value under its labels, which may say anything."""
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{shown}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
