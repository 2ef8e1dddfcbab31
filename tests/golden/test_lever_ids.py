"""Lever ids, their risk and what they may touch are named in ledgers and policies for years."""

from __future__ import annotations

from farthing.core.levers import ABLATION_ORDER, ABLATION_VERSION, LEVERS

#: append; never edit or remove a line
FROZEN = {
    "cache.auto": "exact marks any",
    "cache.marks": "exact marks any",
    "cache.ttl": "exact ttl cold",
    "cache.keepalive": "exact own_calls any",
    "cache.fanout": "exact timing any",
    "cache.diagnostics": "exact unrendered any",
    "repair.tools_order": "equivalent tools content",
    "repair.schema_keys": "equivalent tools content",
    "repair.volatile_system": "equivalent messages+system content",
}

#: version → order; a new order is a new version
ORDERS = {
    1: (
        "repair.tools_order",
        "repair.schema_keys",
        "repair.volatile_system",
        "cache.auto",
        "cache.marks",
        "cache.ttl",
        "cache.diagnostics",
        "cache.fanout",
        "cache.keepalive",
    )
}


def test_the_lever_table_is_frozen():
    table = {
        id_: f"{lever.risk} {'+'.join(sorted(lever.touches))} {lever.pinned}"
        for id_, lever in LEVERS.items()
    }
    assert table == FROZEN


def test_the_order_of_ablation_is_versioned_and_complete():
    assert ORDERS[ABLATION_VERSION] == ABLATION_ORDER
    assert sorted(ABLATION_ORDER) == sorted(LEVERS)
