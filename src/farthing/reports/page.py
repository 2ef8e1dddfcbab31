"""A self-contained HTML page: styles inside, light and dark, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

__all__ = ["cards", "legend", "page", "section", "table"]

_STYLE: Final = """
:root{--back:#fff;--panel:#f6f7f9;--text:#1b1f24;--dim:#5b6470;--line:#dfe3e8;--bad:#b42318;
--c1:#2f6fde;--c2:#e8a33d;--c3:#c65d2e;--c4:#8a93a0;--c5:#3f9d6b;--c6:#8e5bd0}
@media (prefers-color-scheme:dark){:root{--back:#14171b;--panel:#1d2127;--text:#e6e9ed;
--dim:#98a2ae;--line:#333a43;--bad:#ff8a7a;
--c1:#6ea0ff;--c2:#f0bb66;--c3:#e58a5f;--c4:#7d8794;--c5:#62c08d;--c6:#b58cf0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:32px 24px 64px;max-width:960px;background:var(--back);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:40px 0 8px}
p{margin:4px 0 12px}.dim{color:var(--dim)}.bad{color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.card{background:var(--panel);border-radius:8px;padding:12px 16px}
.card b{display:block;font-size:22px;font-weight:600;font-variant-numeric:tabular-nums}
.card span{color:var(--dim);font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);text-align:left;
vertical-align:top}
td.l{overflow-wrap:anywhere}td.w{overflow-wrap:normal}
th{font-weight:600;color:var(--dim);font-size:13px}
th.r,td.r{text-align:right;white-space:nowrap;overflow-wrap:normal}
svg{width:100%;height:auto;display:block;margin:8px 0}
svg text{fill:var(--text);font-size:13px}svg .axis,svg .value{fill:var(--dim);font-size:12px}
svg .grid{stroke:var(--line);stroke-width:1}
.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}
.c6{fill:var(--c6)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;color:var(--dim)}
.legend svg{width:12px;height:12px;display:inline-block;margin:0 6px -1px 0}
"""


def page(title: str, sections: Sequence[str]) -> str:
    """The whole document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(found for found in sections if found)
        + "\n</body></html>\n"
    )


def section(title: str, *parts: str, note: str = "") -> str:
    """A heading with what follows; nothing at all if nothing follows."""
    body = "".join(parts)
    if not body:
        return ""
    words = f'<p class="dim">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{words}{body}</section>"


def cards(items: Sequence[tuple[str, str]]) -> str:
    """Large figures: (value, what it is)."""
    cells = (
        f'<div class="card"><b>{escape(value)}</b><span>{escape(words)}</span></div>'
        for value, words in items
    )
    return f'<div class="cards">{"".join(cells)}</div>'


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A table; ``align`` per column: "l" breaks anywhere, "w" between words, "r" is right."""
    if not rows:
        return ""
    head = "".join(
        f"<th{_css(side)}>{escape(name)}</th>" for name, side in zip(headers, align, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, align)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def legend(items: Sequence[tuple[str, str]]) -> str:
    """Colours of a chart: (css class, words)."""
    swatch = '<svg viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" class="'
    cells = (f'<span>{swatch}{css}"/></svg>{escape(words)}</span>' for css, words in items)
    return f'<div class="legend">{"".join(cells)}</div>'


def _cells(row: Sequence[str], align: str) -> str:
    return "".join(
        f"<td{_css(side)}>{escape(cell)}</td>" for cell, side in zip(row, align, strict=True)
    )


def _css(side: str) -> str:
    return f' class="{side}"'
