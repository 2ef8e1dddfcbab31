"""Charts as inline SVG: no script, no font, no file besides; colours come from the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from typing import Final

__all__ = ["Bar", "Stack", "bar_chart", "stacked_chart"]

_ROW: Final = 26
_LABEL: Final = 280
_VALUE: Final = 150
_WIDTH: Final = 860
_HEIGHT: Final = 220
_AXIS: Final = 60
_FOOT: Final = 24
_TICKS: Final = 4
_NARROWEST: Final = 2.0
#: room a date needs under a column
_DATE_WIDTH: Final = 84


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One horizontal bar; ``text`` is printed at its end."""

    label: str
    value: float
    text: str
    css: str = "c1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One column; parts are (css class, value, what to say on hover)."""

    label: str
    parts: tuple[tuple[str, float, str], ...]

    @property
    def height(self) -> float:
        """The sum of its parts."""
        return sum(value for _, value, _ in self.parts)


def bar_chart(bars: Sequence[Bar], title: str, *, whole: float = 0.0) -> str:
    """Horizontal bars, one a line; the longest fills the room, or ``whole`` would."""
    peak = whole or max((bar.value for bar in bars), default=0.0) or 1.0
    room = _WIDTH - _LABEL - _VALUE
    rows = [_bar(bar, index, room * bar.value / peak) for index, bar in enumerate(bars)]
    return _svg(_ROW * len(bars) + 4, title, rows)


def stacked_chart(stacks: Sequence[Stack], title: str) -> str:
    """Columns of dollars on a common axis."""
    peak = max((stack.height for stack in stacks), default=0.0) or 1.0
    room = (_WIDTH - _AXIS) / max(1, len(stacks))
    parts = [_tick(index, peak) for index in range(_TICKS + 1)]
    every = ceil(_DATE_WIDTH / room)
    for index, stack in enumerate(stacks):
        parts.append(_column(stack, _AXIS + room * index, room, peak))
        if index % every == 0:
            x = min(_AXIS + room * (index + 0.5), _WIDTH - _DATE_WIDTH / 2)
            y = _HEIGHT + _FOOT - 8
            label = escape(stack.label)
            parts.append(
                f'<text x="{x:.1f}" y="{y}" class="axis" text-anchor="middle">{label}</text>'
            )
    return _svg(_HEIGHT + _FOOT, title, parts)


def _bar(bar: Bar, index: int, length: float) -> str:
    y = _ROW * index
    middle = y + _ROW * 0.66
    end = _LABEL + length + 8
    return (
        f'<text x="{_LABEL - 10}" y="{middle:.1f}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect x="{_LABEL}" y="{y + 4}" width="{max(1.0, length):.1f}" height="{_ROW - 9}" '
        f'rx="2" class="{bar.css}"/>'
        f'<text x="{end:.1f}" y="{middle:.1f}" class="value">{escape(bar.text)}</text>'
    )


def _column(stack: Stack, x: float, room: float, peak: float) -> str:
    width = max(_NARROWEST, min(room * 0.8, 48.0))
    left, top, parts = x + (room - width) / 2, float(_HEIGHT), []
    for css, value, hover in stack.parts:
        tall = (_HEIGHT - 10) * value / peak
        top -= tall
        if tall > 0:
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.2f}" width="{width:.1f}" height="{tall:.2f}" '
                f'class="{css}"><title>{escape(hover)}</title></rect>'
            )
    return "".join(parts)


def _tick(index: int, peak: float) -> str:
    y = _HEIGHT - (_HEIGHT - 10) * index / _TICKS
    value = peak * index / _TICKS
    digits = 0 if peak >= 20 else 2
    return (
        f'<line x1="{_AXIS}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{_AXIS - 8}" y="{y + 4:.1f}" class="axis" text-anchor="end">'
        f"${value:,.{digits}f}</text>"
    )


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )
