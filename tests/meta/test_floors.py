"""Imports point downwards, and the floors below the driver are pure."""

from __future__ import annotations

import graphlib

import pytest

from tests.meta import floors
from tests.meta.source import Module, imported, modules, parse_module

ON_FLOORS = [module for module in modules() if module.name != "farthing"]
PURE = [module for module in ON_FLOORS if floors.package_of(module.name) in floors.PURE]


def import_graph(everything: tuple[Module, ...]) -> dict[str, set[str]]:
    """Module → modules it imports; ``from a import b`` is an edge to ``a.b`` where that is one."""
    names = {module.name for module in everything}
    graph = dict[str, set[str]]()
    for module in everything:
        targets = (
            target if target in names else target.rpartition(".")[0] for target in imported(module)
        )
        graph[module.name] = {target for target in targets if target in names}
    return graph


def test_every_package_has_a_floor():
    packages = {floors.package_of(module.name) for module in ON_FLOORS}

    assert packages <= floors.FLOORS.keys()


@pytest.mark.parametrize("module", ON_FLOORS, ids=lambda module: module.name)
def test_imports_point_downwards(module):
    assert floors.upward_imports(module) == []


@pytest.mark.parametrize("module", PURE, ids=lambda module: module.name)
def test_a_pure_floor_has_no_io_clock_randomness_or_async(module):
    assert floors.impurities(module) == []


def test_there_are_no_import_cycles():
    order = graphlib.TopologicalSorter(import_graph(modules()))

    order.prepare()  # raises CycleError with the cycle


def test_the_emulator_shares_only_the_wire_syntax_with_farthing():
    emulator = [m for m in ON_FLOORS if m.name.startswith(floors.EMULATOR)]

    assert [line for module in emulator for line in floors.foreign_to_emulator(module)] == []


def test_the_allow_list_names_modules_that_exist():
    assert floors.unknown_modules(floors.PURE_STDLIB) == frozenset()


# The laws themselves: each finds what it is there to find.


@pytest.mark.parametrize(
    "text",
    [
        "from farthing.core.plan import plan",
        "import farthing.pricing",
        "from farthing import cli",
        "from farthing.unheard_of import x",
        "def f():\n    from farthing.ledger import open_ledger",
        "if TYPE_CHECKING:\n    from farthing.core.plan import Plan",
    ],
)
def test_an_import_upwards_is_found(text):
    assert floors.upward_imports(parse_module("farthing.wire.example", text)) != []


def test_an_import_of_a_sibling_on_the_same_floor_is_found():
    module = parse_module("farthing.gateway.app", "from farthing.sdk.client import x")

    assert floors.upward_imports(module) != []


@pytest.mark.parametrize(
    "text",
    ["from farthing.errors import RequestError", "from farthing.wire.json import members"],
)
def test_an_import_downwards_or_within_the_package_is_fine(text):
    assert floors.upward_imports(parse_module("farthing.wire.example", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import socket",
        "from time import monotonic",
        "import random",
        "import logging",
        "import pathlib",
        "import orjson",
        "async def f(): ...",
        "datetime.now(tz=UTC)",
        "date.today()",
        "open('x')",
        "print('x')",
        "path.read_text()",
        "def f():\n    global state",
    ],
)
def test_an_impurity_is_found(text):
    assert floors.impurities(parse_module("farthing.core.example", text)) != []


def test_values_in_values_out_is_fine():
    text = "from decimal import Decimal\nimport msgspec\n\ndef f(now): return now + Decimal(1)"

    assert floors.impurities(parse_module("farthing.core.example", text)) == []


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        ("from farthing.wire.json import members", False),
        ("from farthing.wire.sse import encode_event", False),
        ("from farthing.errors import RequestError", False),
        ("from farthing.lab.emulator.catalog import CATALOG", False),
        ("from farthing.wire.request import Request", True),
        ("from farthing.pricing import price", True),
        ("from farthing.wire import Request", True),
        ("from farthing import wire", True),
    ],
)
def test_the_emulator_borrows_nothing_that_it_must_witness(text, is_foreign):
    module = parse_module("farthing.lab.emulator.example", text)

    assert bool(floors.foreign_to_emulator(module)) is is_foreign


def test_a_cycle_is_found():
    pair = (
        parse_module("farthing.a", "from farthing.b import x"),
        parse_module("farthing.b", "from farthing import a"),
    )

    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(import_graph(pair)).prepare()
