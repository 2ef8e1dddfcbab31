"""A setting that nobody reads is a promise that nobody keeps."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import pytest

from farthing.config import SETTINGS
from tests.meta.source import Module, modules, parse_module

TABLE = "farthing.config"


def names_read(found: Iterable[Module]) -> set[str]:
    """Attributes that are read of something called ``settings``, outside the table itself."""
    return {
        node.attr
        for module in found
        if not module.name.startswith(TABLE)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and of_settings(node)
    }


def of_settings(node: ast.Attribute) -> bool:
    """``settings.x``, ``….settings.x``."""
    inner = node.value
    name = inner.id if isinstance(inner, ast.Name) else getattr(inner, "attr", "")
    return name == "settings"


def test_each_setting_is_read_by_somebody():
    assert {row.name for row in SETTINGS} - names_read(modules()) == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = settings.port", {"port"}),
        ("x = parts.settings.port", {"port"}),
        ("settings.port = 1", set()),
        ("x = other.port", set()),
    ],
)
def test_reading_a_setting_is_found(text, found):
    assert names_read([parse_module("farthing.example", text)]) == found


def test_the_table_itself_does_not_count():
    assert names_read([parse_module("farthing.config.table", "x = settings.port")]) == set()
