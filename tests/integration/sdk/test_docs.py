"""The blocks of the library's pages that talk to Claude run here, where sockets are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.meta.blocks import code_blocks, run_console, run_python
from tests.meta.quickstarts import walked_blocks

PAGE = Path(__file__).resolve().parents[3] / "docs" / "library.md"
BLOCKS = [
    block
    for block in code_blocks(PAGE.read_text("utf-8"))
    if block.language == "python" and "opens a socket" in block.rest
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block.line))
def test_a_block_that_opens_a_socket_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python(block, names={"__name__": "documentation"}, path=PAGE)


def test_session_batch_and_middleware_each_have_a_block():
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("name", ["quickstart-python-sdk.md", "quickstart-library.md"])
def test_a_quickstart_can_be_read_top_to_bottom(name, emu, tmp_path, monkeypatch):
    """What the walk does in a clean environment, here with the emulator of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for variable, value in emu.environment.items():
        monkeypatch.setenv(variable, value)
    names = {"__name__": "documentation"}
    faults = []

    for block in walked_blocks(PAGE.with_name(name)):
        if block.language == "python":
            run_python(block, names=names, path=PAGE.with_name(name))
        elif block.language == "console":
            faults += run_console(block)

    assert faults == []
