"""The floors as data, and the functions that find what breaks them."""

from __future__ import annotations

import ast
import sys
from typing import Final

from tests.meta.source import Module, imported

FLOORS: Final = {
    "errors": 0,
    "version": 0,
    "wire": 1,
    "pricing": 2,
    "core": 3,
    "driver": 4,
    "config": 4,
    "transport": 5,
    "ledger": 5,
    "traces": 5,
    "reports": 5,
    "notify": 5,
    "telemetry": 5,
    "files": 5,
    "gateway": 6,
    "sdk": 6,
    "batch": 6,
    "mcp": 6,
    "dashboard": 6,
    "lab": 7,
    "compose": 8,
    "testing": 8,  # pytest fixtures for those who use farthing; farthing itself does not
    "cli": 9,
    "__main__": 10,
}

#: floors where values come in and values go out, and nothing else happens
PURE: Final = frozenset({"errors", "wire", "pricing", "core"})

#: the standard modules that cannot do I/O, read a clock or roll a die
PURE_STDLIB: Final = frozenset(
    """
    __future__ abc array base64 binascii bisect codecs collections contextlib copy dataclasses
    datetime decimal difflib enum fractions functools graphlib hashlib heapq hmac itertools json
    keyword math numbers operator re statistics string struct textwrap tomllib types typing
    unicodedata zlib
    """.split()
)
PURE_THIRD_PARTY: Final = frozenset({"msgspec"})

#: calls by bare name, and calls of an attribute whatever it hangs on
IMPURE_CALLS: Final = frozenset({"open", "print", "input", "eval", "exec", "breakpoint"})
IMPURE_METHODS: Final = frozenset(
    {"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes", "urandom"}
)

#: of farthing, the emulator knows only this: it is the witness against the core
EMULATOR: Final = "farthing.lab.emulator"
EMULATOR_MAY_IMPORT: Final = ("farthing.wire.json", "farthing.wire.sse", "farthing.errors")


def package_of(name: str) -> str:
    """``farthing.wire.usage`` → ``wire``; the root itself → ``""``."""
    return name.split(".")[1] if "." in name else ""


def upward_imports(module: Module) -> list[str]:
    """Imports of farthing that do not point downwards."""
    own = package_of(module.name)
    return [
        f"{module.name} (floor {FLOORS[own]}) imports {target}"
        for target in imported(module)
        if target.startswith("farthing.")
        and package_of(target) != own
        and FLOORS.get(package_of(target), 99) >= FLOORS[own]
    ]


def impurities(module: Module) -> list[str]:
    """What a pure floor may not contain."""
    return [*impure_imports(module), *(f"{module.name}:{why}" for why in impure_nodes(module))]


def impure_imports(module: Module) -> list[str]:
    """Imports outside the allow-list; what is not of farthing must be named there."""
    allowed = PURE_STDLIB | PURE_THIRD_PARTY | {"farthing"}
    return [
        f"{module.name} imports {target}, which is not on the list of pure modules"
        for target in imported(module)
        if target.partition(".")[0] not in allowed
    ]


def impure_nodes(module: Module) -> list[str]:
    """``async``, module state and calls that look at the world, as ``line: what``."""
    found = list[str]()
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            found.append(f"{node.lineno}: async")
        elif isinstance(node, ast.Global):
            found.append(f"{node.lineno}: global {', '.join(node.names)}")
        elif isinstance(node, ast.Call) and is_impure_call(node.func):
            found.append(f"{node.lineno}: {ast.unparse(node.func)}()")
    return found


def is_impure_call(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in IMPURE_CALLS
    return isinstance(function, ast.Attribute) and function.attr in IMPURE_METHODS


def foreign_to_emulator(module: Module) -> list[str]:
    """Imports of farthing that would let the emulator agree with the core's bugs."""
    return [
        f"{module.name} imports {target}"
        for target in imported(module)
        if target.startswith("farthing.")
        and not target.startswith((EMULATOR, *EMULATOR_MAY_IMPORT))
    ]


def unknown_modules(names: frozenset[str]) -> frozenset[str]:
    """Names on the allow-list that this Python does not have: a typing error in the list."""
    return names - sys.stdlib_module_names
