"""The blocks of docs/library.md that talk to the emulator run here, where sockets are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meta.blocks import code_blocks, run_python

PAGE = Path(__file__).resolve().parents[3] / "docs" / "library.md"
BLOCKS = [
    block
    for block in code_blocks(PAGE.read_text("utf-8"))
    if block.language == "python" and "opens a socket" in block.rest
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block.line))
def test_a_block_that_opens_a_socket_runs(block):
    run_python(block, names={"__name__": "documentation"}, path=PAGE)


def test_session_and_batch_each_have_a_block():
    assert len(BLOCKS) == 2
