from __future__ import annotations

import csv
import io
import json
import sys

import pytest

from farthing.core.records import ExchangeRow
from farthing.errors import ConfigError
from farthing.ledger.exporting import FIELDS, FORMATS, export, record
from tests.contract.exchanges import held, opened, settled, unsettled

ROWS = [
    ExchangeRow(opened=held("a", amount=5 * 10**11), settlement=settled("a"), outcome="passed"),
    ExchangeRow(opened=opened("b"), settlement=unsettled("b", low=0, high=10**12)),
    ExchangeRow(opened=opened("c")),
]


def exported(form: str, rows=ROWS) -> bytes:
    target = io.BytesIO()
    assert export(rows, form, target) == len(rows)
    return target.getvalue()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.state)
def test_every_record_has_every_name_in_the_same_order(row):
    assert tuple(record(row)) == FIELDS


def test_money_is_exact_decimal_text_and_what_is_not_known_is_empty():
    first, second, third = map(record, ROWS)

    assert (first["cost_usd"], first["hold_usd"]) == ("0.000000000021", "0.5")
    assert (second["cost_usd"], second["low_usd"], second["high_usd"]) == (None, "0", "1")
    assert (third["cost_usd"], third["ended_at"], third["output_tokens"]) == (None, None, None)


def test_csv_has_a_header_and_a_line_per_row():
    lines = list(csv.DictReader(io.StringIO(exported("csv").decode("utf-8"))))

    assert [line["exchange_id"] for line in lines] == ["a", "b", "c"]
    assert lines[0]["cache_read_tokens"] == "40"
    assert lines[0]["plan"] == "+cache.auto"


def test_json_is_one_array():
    rows = json.loads(exported("json"))

    assert [row["state"] for row in rows] == ["settled", "unsettled", "held"]
    assert rows[0] == record(ROWS[0])


@pytest.mark.parametrize(("form", "text"), [("json", b"[]\n"), ("csv", None)])
def test_no_rows_are_still_a_valid_file(form, text):
    expected = text or ",".join(FIELDS).encode("ascii") + b"\n"

    assert exported(form, []) == expected


def test_parquet_has_types_and_the_same_values():
    parquet = pytest.importorskip(
        "pyarrow.parquet", reason="Parquet needs pip install 'farthing[parquet]'"
    )

    table = parquet.read_table(io.BytesIO(exported("parquet")))

    assert tuple(table.column_names) == FIELDS
    assert table.to_pylist() == [record(row) for row in ROWS]
    assert str(table.schema.field("output_tokens").type) == "int64"
    assert str(table.schema.field("cost_usd").type) == "string"


def test_without_pyarrow_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"pip install 'farthing\[parquet\]'"):
        exported("parquet")


def test_the_formats_are_these():
    assert sorted(FORMATS) == ["csv", "json", "parquet"]
