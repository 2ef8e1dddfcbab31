from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.ledger.money import added, join, joined_sums, split, summed

AMOUNTS = st.integers(-(10**30), 10**30)
USD = 10**12


@given(AMOUNTS)
def test_an_amount_comes_back_from_its_columns(amount):
    usd, pico = split(amount)

    assert join(usd, pico) == amount
    assert pico is not None
    assert 0 <= pico < USD


def test_what_is_not_known_has_empty_columns():
    assert split(None) == (None, None)
    assert join(None, None) is None


@pytest.fixture
def table():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (k TEXT PRIMARY KEY, a_usd INTEGER, a_pico INTEGER)")
    yield connection
    connection.close()


def add(table, amount, key="k"):
    text = f"INSERT INTO t VALUES (?, ?, ?) ON CONFLICT (k) DO UPDATE SET {added('a')}"
    table.execute(text, (key, *split(amount)))


@pytest.mark.parametrize(
    "amounts",
    [(USD - 1, 1), (USD - 1, 0), (USD - 1, USD - 1), (-1, 1), (5, -7), (9 * 10**18, 9 * 10**18)],
)
def test_upserts_add_and_carry(table, amounts):
    for amount in amounts:
        add(table, amount)

    assert join(*table.execute("SELECT a_usd, a_pico FROM t").fetchone()) == sum(amounts)


def test_ten_million_remainders_of_almost_a_dollar_would_not_overflow_a_sum(table):
    add(table, USD - 1)
    parts = table.execute(f"SELECT {summed('a')} FROM t").fetchone()

    assert joined_sums(*parts) == USD - 1
    assert all(part * 10_000_000 < 2**63 for part in parts)


def test_a_sum_over_no_row_is_zero(table):
    assert joined_sums(*table.execute(f"SELECT {summed('a')} FROM t").fetchone()) == 0
