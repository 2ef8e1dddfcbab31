"""What a module offers is what it names, and importing it costs nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from typing import Final

import pytest

from tests.meta import floors
from tests.meta.source import Module, modules, parse_module

HEAVY: Final = frozenset(
    """
    aiohttp anthropic anyio asyncio concurrent.futures duckdb genai_prices grpc http.client httpx
    httpx2 logging multiprocessing opentelemetry pandas psycopg pyarrow pydantic requests rich
    socket sqlite3 ssl starlette subprocess threading urllib.request uvicorn uvloop
    """.split()
)

PURE_MODULES = [
    module.name for module in modules() if floors.package_of(module.name) in floors.PURE
]


def declared(module: Module) -> list[str] | None:
    """The names in ``__all__``, or None where a module has none."""
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            return [str(name) for name in ast.literal_eval(node.value)]  # type: ignore[attr-defined]  # an assignment has a value
    return None


def bound(module: Module) -> dict[str, bool]:
    """Top-level names → was it defined here (else: imported)."""
    names = dict[str, bool]()
    for node in module.tree.body:
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                names[name] = True
            case ast.Assign(targets=targets):
                names |= {t.id: True for t in targets if isinstance(t, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names[name] = True
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {(a.asname or a.name).partition(".")[0]: False for a in aliases}
            case _:
                pass
    return names


def surface_faults(module: Module) -> list[str]:
    """Names that are public but not declared, declared but not there, or declared twice."""
    if not any(bound(module)):
        return []
    names = declared(module)
    if names is None:
        return [f"{module.name} has no __all__"]
    here = {name for name, is_own in bound(module).items() if is_own and name[0] != "_"}
    dunders = {"__version__", "__getattr__", "__dir__"}
    absent = set(names) - bound(module).keys() - dunders - lazy_names(module)
    return [
        *(f"{module.name}.{name} is public but not in __all__" for name in sorted(here - {*names})),
        *(f"{module.name}.__all__ names {name}, which is not there" for name in sorted(absent)),
        *([f"{module.name}.__all__ repeats a name"] if len(names) != len(set(names)) else []),
    ]


def lazy_names(module: Module) -> set[str]:
    """Names a module-level ``__getattr__`` serves; the import test below proves they resolve."""
    return set(declared(module) or ()) if "__getattr__" in bound(module) else set()


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_all_names_exactly_the_public_names(module):
    assert surface_faults(module) == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_every_module_says_what_it_is_responsible_for(module):
    assert ast.get_docstring(module.tree), f"{module.name} has no docstring"


@pytest.mark.parametrize("name", ["farthing", *PURE_MODULES])
def test_every_declared_name_resolves(name):
    module = importlib.import_module(name)

    assert (
        [n for n in module.__all__ if not hasattr(module, n)] == [] if any(vars(module)) else True
    )


def newly_loaded(statement: str) -> set[str]:
    """Modules that a fresh interpreter loads for a statement."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*set(sys.modules) - before, sep='\\n')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_farthing_loads_no_http_async_or_database_module():
    assert newly_loaded("import farthing") & HEAVY == set()


def test_importing_every_pure_module_loads_no_http_async_or_database_module():
    assert newly_loaded(f"import {', '.join(PURE_MODULES)}") & HEAVY == set()


def test_a_heavy_import_would_be_seen():
    assert "sqlite3" in newly_loaded("import sqlite3")


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("__all__ = ['f']\ndef f(): ...", 0),
        ("__all__ = ['f']\ndef f(): ...\ndef _g(): ...", 0),
        ("from a import b\n__all__ = ['b']", 0),
        ('"""Only words."""', 0),
        ("def f(): ...", 1),
        ("__all__ = []\ndef f(): ...", 1),
        ("__all__ = []\nLIMIT = 3", 1),
        ("__all__ = []\nLIMIT: Final = 3", 1),
        ("__all__ = ['f', 'g']\ndef f(): ...", 1),
        ("__all__ = ['f', 'f']\ndef f(): ...", 1),
    ],
)
def test_a_wrong_surface_is_found(text, faults):
    assert len(surface_faults(parse_module("farthing.example", text))) == faults
