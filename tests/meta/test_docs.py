"""What the documentation shows can be done: its blocks run, its links lead somewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.meta import quickstarts
from tests.meta.blocks import CodeBlock, code_blocks, commands, run_console, run_python
from tests.meta.source import ROOT, tracked_files

PAGES = [path for path in tracked_files() if path.suffix == ".md"]
PAGE_IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", PAGES, ids=PAGE_IDS)
def test_every_block_of_a_page_runs(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {"__name__": "documentation"}
    faults = list[str]()

    for block in filter(lambda block: block.is_run, code_blocks(path.read_text("utf-8"))):
        if block.language == "console":
            faults += run_console(block)
        else:
            run_python(block, names=names, path=path)

    assert faults == []


@pytest.mark.parametrize("path", PAGES, ids=PAGE_IDS)
def test_a_block_that_does_not_run_says_why(path):
    silent = [
        block.line
        for block in code_blocks(path.read_text("utf-8"))
        if block.language in {"python", "console"} and block.rest.strip() and block.is_run
    ]

    assert silent == [], "write `not-run: the reason` after the language"


@pytest.mark.parametrize("path", PAGES, ids=PAGE_IDS)
def test_only_a_quickstart_has_blocks_for_its_walk(path):
    walked = [b.line for b in code_blocks(path.read_text("utf-8")) if "walked:" in b.rest]

    assert walked == [] or path in quickstarts.pages()


@pytest.mark.parametrize("path", quickstarts.pages(), ids=lambda path: path.name)
def test_every_block_of_a_quickstart_is_run_somewhere_and_says_where(path):
    assert quickstarts.unmarked(path) == [], "write `walked: what it needs` after the language"
    assert quickstarts.walked_blocks(path) != []


@pytest.mark.parametrize("path", PAGES, ids=PAGE_IDS)
def test_links_to_files_lead_somewhere(path):
    targets = [t for t in LINK.findall(path.read_text("utf-8")) if "://" not in t]

    assert [t for t in targets if not (path.parent / t).exists()] == []


def console(text: str) -> CodeBlock:
    return CodeBlock(language="console", rest="", text=text, line=1)


def test_blocks_are_found_with_their_language_line_and_reason():
    text = "# T\n\n```python\nx = 1\n```\n\n- a\n\n  ```console not-run: why\n  $ farthing\n  ```\n"

    found = [(b.language, b.line, b.text, b.is_run) for b in code_blocks(text)]

    assert found == [("python", 3, "x = 1\n", True), ("console", 9, "$ farthing\n", False)]


def test_a_command_that_fails_is_a_fault():
    assert len(run_console(console("$ farthing no-such-command\n"))) == 1


def test_a_command_that_prints_something_else_is_a_fault():
    assert len(run_console(console("$ farthing --version\nfarthing 99\n"))) == 1


def test_a_command_that_prints_what_the_page_says_is_none():
    assert run_console(console("$ farthing --version\nfarthing ...\n")) == []


def test_a_command_may_span_lines():
    block = console("$ farthing price \\\n    --list\n")

    assert [command.arguments for command in commands(block)] == [["price", "--list"]]


def test_a_console_block_runs_farthing_only():
    with pytest.raises(ValueError, match="sh"):
        commands(console("$ rm -r x\n"))


def test_python_blocks_of_a_page_share_their_names():
    names: dict[str, Any] = {}
    blocks = code_blocks("```python\nx = 1\n```\n```python\ny = x + 1\n```\n")

    for block in blocks:
        run_python(block, names=names, path=ROOT / "example.md")

    assert names["y"] == 2


def test_every_page_of_the_documentation_is_listed_where_a_reader_looks():
    indexes = [ROOT / "docs" / "README.md", *(ROOT / "docs").glob("*/README.md")]
    linked = {
        (index.parent / target).resolve()
        for index in indexes
        for target in LINK.findall(index.read_text("utf-8"))
        if "://" not in target
    }

    pages = {path for path in PAGES if path.is_relative_to(ROOT / "docs")} - {indexes[0]}

    assert sorted(path.relative_to(ROOT).as_posix() for path in pages - linked) == []
