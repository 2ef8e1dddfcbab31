"""Plain-text tables for terminals: aligned, 80 columns, colour only where a terminal wants it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

__all__ = ["WIDTH", "bold", "red", "render_table"]

WIDTH = 80
_GAP = "  "
_SHORTEST = 8


def render_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    align: str = "",
    total: bool = False,
    width: int = WIDTH,
) -> str:
    """A table as text, without a line end at its end.

    Args:
        headers: one per column.
        rows: the cells, ready to print.
        align: "l" or "r" per column; by default the first column is left, the others right.
        total: whether the last row is a total and gets a rule above it.
        width: what the table should fit into; the widest left-aligned column gives way.
    """
    sides = align or "l" + "r" * (len(headers) - 1)
    widths = _fitted(
        [max(map(len, column)) for column in zip(headers, *rows, strict=True)], sides, width
    )
    rule = _GAP.join("-" * size for size in widths)
    lines = [_line(row, widths, sides) for row in rows]
    if total and lines:
        lines.insert(-1, rule)
    return "\n".join([_line(headers, widths, sides), rule, *lines])


def bold(text: str, stream: TextIO) -> str:
    """Text in bold, if the stream is a terminal and its user did not say NO_COLOR."""
    return _styled(text, "1", stream)


def red(text: str, stream: TextIO) -> str:
    """Text in red, under the same conditions; what it says must be there without the colour."""
    return _styled(text, "31", stream)


def _styled(text: str, code: str, stream: TextIO) -> str:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def _fitted(widths: list[int], sides: str, width: int) -> list[int]:
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    left = [size if side == "l" else 0 for size, side in zip(widths, sides, strict=True)]
    if over > 0 and max(left) > _SHORTEST:
        widest = left.index(max(left))
        widths[widest] = max(widths[widest] - over, _SHORTEST)
    return widths


def _line(cells: Sequence[str], widths: Sequence[int], sides: str) -> str:
    parts = (_cell(*column) for column in zip(cells, widths, sides, strict=True))
    return _GAP.join(parts).rstrip()


def _cell(text: str, size: int, side: str) -> str:
    if len(text) > size:
        text = text[: size - 1] + "…"
    return text.ljust(size) if side == "l" else text.rjust(size)
