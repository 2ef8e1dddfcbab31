"""Code blocks of the documentation, and how they are run.

Every ```` ```python ```` and ```` ```console ```` block runs. One that cannot says so after its
language, with the reason: ```` ```python not-run: needs an API key ````. One that says
``walked: what it needs`` stands on a quickstart page and is run by its walk alone
(``tests/meta/quickstarts.py``). Blocks that only show something are ``text``, ``sh``, ``json``, ….

A page's Python blocks share their names, top to bottom. In a console block each line that starts
with ``$ farthing`` is run in this process, from the repository's root; lines below it, if any, are
its output, where ``...`` stands for anything.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from farthing.cli.main import main

_FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]+)(?P<rest>[^\n]*)\n(?P<text>.*?)^(?P=indent)```\s*$",
    re.MULTILINE | re.DOTALL,
)
RUNNABLE: Final = ("python", "console")
NOT_RUN: Final = re.compile(r"\s*not-run: \S.*")
WALKED: Final = re.compile(r"\s*walked: \S.*")
_SAME: Final = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBlock:
    """One fenced block of a page."""

    language: str
    rest: str
    text: str
    line: int

    @property
    def is_run(self) -> bool:
        is_elsewhere = NOT_RUN.fullmatch(self.rest) or WALKED.fullmatch(self.rest)
        return self.language in RUNNABLE and not is_elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One ``$ farthing …`` line and what the page says it prints."""

    arguments: list[str]
    expected: str


def code_blocks(text: str) -> Iterator[CodeBlock]:
    for match in _FENCE.finditer(text):
        indent = match["indent"]
        lines = match["text"].splitlines(keepends=True)
        yield CodeBlock(
            language=match["language"],
            rest=match["rest"],
            text="".join(line.removeprefix(indent) for line in lines),
            line=text.count("\n", 0, match.start()) + 1,
        )


def commands(block: CodeBlock) -> list[Command]:
    """The commands of a console block; anything but ``farthing`` there is an error."""
    found = list[tuple[str, list[str]]]()
    for line in block.text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return [
        Command(arguments=farthing_arguments(line), expected="\n".join(output).strip())
        for line, output in found
    ]


def farthing_arguments(line: str) -> list[str]:
    program, *arguments = shlex.split(line, comments=True)
    if program != "farthing" or {"|", ">", "&&", ";"} & {*arguments}:
        raise ValueError(f"{line!r} is not a plain farthing command: make it a `sh` block")
    return arguments


def run_console(block: CodeBlock) -> list[str]:
    """What a console block promises and does not keep."""
    return [fault for command in commands(block) if (fault := run_command(command))]


def run_command(command: Command) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = main(command.arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
    printed, shown = out.getvalue(), f"farthing {shlex.join(command.arguments)}"
    if not command.expected:
        return f"{shown} exits with {code}: {printed}" if code else ""
    if doctest.OutputChecker().check_output(command.expected + "\n", printed, _SAME):
        return ""
    return f"{shown} prints\n{printed}instead of\n{command.expected}\n"


def run_python(block: CodeBlock, *, names: dict[str, Any], path: Path) -> None:
    """Run a block with the names of the blocks above it; what it prints is not compared."""
    code = compile("\n" * block.line + block.text, str(path), "exec")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, names)
