"""Which blocks of docs/quickstart-*.md are run where, as their markers say.

`python` and `console` blocks without a marker run in every test run (``tests/meta/test_docs.py``).
On these pages the walk (``tests/acceptance/test_quickstarts.py``, a long test) executes *every*
``sh``, ``console``, ``python`` and ``ts`` block, in order, in a clean environment, but those that
say ``not-run: the reason``. What only the walk can run says ``walked: what it needs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.meta.blocks import NOT_RUN, WALKED, CodeBlock, code_blocks
from tests.meta.source import ROOT

WALKED_LANGUAGES: Final = ("sh", "console", "python", "ts")


def pages() -> list[Path]:
    """The quickstart pages."""
    return sorted((ROOT / "docs").glob("quickstart-*.md"))


def walked_blocks(path: Path) -> list[CodeBlock]:
    """What the walk executes of a page."""
    blocks = code_blocks(path.read_text("utf-8"))
    return [b for b in blocks if b.language in WALKED_LANGUAGES and not NOT_RUN.fullmatch(b.rest)]


def unmarked(path: Path) -> list[int]:
    """Lines of blocks that no test runs by default and whose marker does not say so."""
    return [
        block.line
        for block in code_blocks(path.read_text("utf-8"))
        if block.language not in {"text", "json"}
        and not block.is_run
        and not NOT_RUN.fullmatch(block.rest)
        and not (block.language in WALKED_LANGUAGES and WALKED.fullmatch(block.rest))
    ]
