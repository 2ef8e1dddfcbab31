"""What may stand in the tree: small files, no address of a package index, no path of a machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.meta.source import GENERATED_MARK, ROOT, Module, modules, parse_module, tracked_files

FILE_LINES: Final = 400
FUNCTION_LINES: Final = 40

# Put together here so that this file does not contain what it looks for.
INDEX_HOSTS: Final = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("deb", "debian"),
    )
)
# A made-up home is fine in a recorded transcript; the home of whoever runs this is not.
MACHINE_FOLDERS: Final = ("work/", "root/", "Users/", "opt/", re.escape(f"{Path.home()}/"[1:]))
MACHINE_PATH: Final = re.compile(rf"(?<![\w.~)}}\]*-])/(?:{'|'.join(MACHINE_FOLDERS)})")

WRITTEN_BY_HAND = [module for module in modules() if not module.is_generated]


def local_addresses(text: str) -> list[str]:
    """Package-index hosts and absolute paths that mean something on one machine only."""
    hosts = [host for host in INDEX_HOSTS if host in text]
    return hosts + [match.group() for match in MACHINE_PATH.finditer(text)]


def long_functions(module: Module) -> list[str]:
    return [
        f"{module.name}.{node.name}: {lines_of(node)} lines"
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and lines_of(node) > FUNCTION_LINES
    ]


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked_files():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # packed data has no addresses in it


def test_no_file_names_a_package_index_or_a_path_of_one_machine():
    assert {name: found for name, text in texts() if (found := local_addresses(text))} == {}


@pytest.mark.parametrize(
    ("text", "is_local"),
    [
        ("see https://" + "pypi" + ".org/project/x", True),
        ("open('/" + "work/main/x')", True),
        ("cd /" + "root/x", True),
        (f"{Path.home()}/x", True),
        ("/home/someone/project", False),
        ("../shared/data", False),
        ("src/network/x and home/jane", False),
    ],
)
def test_a_local_address_is_found(text, is_local):
    assert bool(local_addresses(text)) is is_local


@pytest.mark.parametrize("module", WRITTEN_BY_HAND, ids=lambda module: module.name)
def test_no_file_is_longer_than_a_reader_bears(module):
    assert len(module.text.splitlines()) <= FILE_LINES


@pytest.mark.parametrize("module", WRITTEN_BY_HAND, ids=lambda module: module.name)
def test_no_function_is_longer_than_a_reader_bears(module):
    assert long_functions(module) == []


@pytest.mark.parametrize(
    ("body_lines", "is_long"), [(FUNCTION_LINES - 1, False), (FUNCTION_LINES, True)]
)
def test_a_long_function_is_found(body_lines, is_long):
    text = "def f():\n" + "    x = 1\n" * body_lines

    assert bool(long_functions(parse_module("farthing.example", text))) is is_long


def generators() -> list[str]:
    """The scripts that the generated files of the tree name."""
    mark = re.compile(re.escape(GENERATED_MARK) + r"(\w+)\.py`")
    return sorted({name for _, text in texts() for name in mark.findall(text[:1000])})


@pytest.mark.parametrize("name", generators())
def test_generated_files_are_current(name):
    run = subprocess.run(
        [sys.executable, "-m", f"scripts.{name}", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, f"run `make fmt`: {run.stdout}{run.stderr}"
