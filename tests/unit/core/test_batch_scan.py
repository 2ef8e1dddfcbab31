"""The rows of a batch, cut out of its body as it comes, and what each can cost at most."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core import batch_scan
from farthing.core.allowances import NOTHING_DECLARED
from farthing.core.batch_holds import row_digest
from farthing.core.batch_scan import BatchReader, BatchScan, RowCutter
from farthing.core.budgets_bound import CallBound
from farthing.core.estimate import BlockMemo
from farthing.core.hold import worst_case
from farthing.pricing import catalog
from farthing.wire.request import Request

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HELLO = [{"role": "user", "content": "hello"}]
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def row(custom_id: str = "a", **params: Any) -> dict[str, Any]:
    asked = {"model": "claude-opus-4-5", "max_tokens": 50, "messages": HELLO}
    return {"custom_id": custom_id, "params": asked | params}


def scan(*pieces: bytes) -> BatchScan:
    reader = BatchReader(catalog(), NOW, NOTHING_DECLARED)
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def scanned(*rows: Any) -> BatchScan:
    return scan(json.dumps({"requests": rows}).encode())


def cut_out(body: bytes, pieces: int, **given: Any) -> list[bytes | None]:
    cutter = RowCutter(**given)
    step = max(1, len(body) // pieces)
    found = [cutter.feed(body[at : at + step]) for at in range(0, len(body), step)]
    return [each for some in found for each in some]


# -- cutting --------------------------------------------------------------------------------------


@given(
    st.lists(st.dictionaries(st.text(), _json, max_size=3), max_size=4),
    st.dictionaries(st.text(), st.none() | st.dictionaries(st.text(), _json), max_size=2),
    st.integers(1, 60),
    st.booleans(),
)
def test_rows_are_what_a_parser_finds_wherever_the_body_is_cut(rows, beside, pieces, ascii_only):
    body = json.dumps(beside | {"requests": rows}, ensure_ascii=ascii_only).encode(
        errors="surrogatepass"
    )

    found = cut_out(body, pieces)

    assert [json.loads(each or b"") for each in found] == rows


def test_brackets_and_quotes_inside_texts_are_text():
    rows = [{"a": '}]{["\\', "b": {"c": [{"d": '\\"'}]}}, {}]

    assert [
        json.loads(each or b"") for each in cut_out(json.dumps({"x": rows}).encode(), 99)
    ] == rows


def test_a_row_that_is_too_long_is_counted_and_not_kept():
    body = json.dumps({"requests": [{"a": "x" * 50}, {"b": 1}]}).encode()

    assert cut_out(body, 7, longest=20) == [None, b'{"b": 1}']


# -- bounding -------------------------------------------------------------------------------------


def test_a_row_costs_at_most_half_of_the_same_call():
    params = row()["params"]
    request = Request.parse(json.dumps(params).encode())
    worst = worst_case(request, prices=catalog(), memo=BlockMemo(), now=NOW)
    assert worst is not None
    bound = CallBound.of(request, worst, None, client_bytes=len(request.body))

    found = scanned(row())

    assert list(found.one_pass) == list(found.passes) == [-(-bound.one_pass_pico // 2)]
    assert (found.models, found.totals) == (["claude-opus-4-5"], [found.one_pass[0]])
    assert list(found.digests) == [row_digest("a")]
    assert (found.has_several, found.unpriced) == (False, 0)
    assert repr(found) == "<BatchScan 1 rows, 0 unpriced>"


def test_rows_are_sorted_and_keep_their_models():
    models = ["claude-opus-4-5", "claude-haiku-5-5"]
    rows = [row(f"r{n}", model=models[n % 2], max_tokens=n + 1) for n in range(20)]

    found = scanned(*rows)

    assert list(found.digests) == sorted(row_digest(f"r{n}") for n in range(20))
    assert found.models == models
    by_digest = dict(zip(found.digests, found.model_of, strict=True))
    assert all(by_digest[row_digest(f"r{n}")] == n % 2 for n in range(20))
    assert sum(found.totals) == sum(found.one_pass)


def test_a_row_with_server_tools_has_all_its_passes():
    found = scanned(row(tools=SEARCH), row("b"))

    assert found.has_several
    several = dict(zip(found.digests, zip(found.one_pass, found.passes, strict=True), strict=True))
    one, most = several[row_digest("a")]
    assert most > 10 * one
    plain = several[row_digest("b")]
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    "wrong",
    [
        row(model="claude-of-nobody"),
        {"custom_id": "a"},
        {"custom_id": 1, "params": {}},
        {"custom_id": "a", "params": []},
        {"custom_id": "a", "params": {"model": 1}},
    ],
)
def test_a_row_that_nobody_can_bound_is_unpriced(wrong: Any):
    found = scanned(row("b"), wrong)

    assert (len(found), found.unpriced) == (1, 1)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"requests": []}', b"\x1f\x8b\x08 gzip"])
def test_a_body_without_rows_is_one_that_nobody_can_bound(body: bytes):
    assert (len(scan(body)), scan(body).unpriced) == (0, 1)


def test_rows_beyond_what_a_batch_takes_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(batch_scan, "_MOST_ROWS", 2)

    found = scanned(*[row(f"r{n}") for n in range(5)])

    assert (len(found), found.unpriced) == (2, 3)


def test_an_amount_that_nobody_has_is_kept_as_the_most_there_is():
    found = scanned(row(max_tokens=10**17))

    assert list(found.one_pass) == [2**63 - 1]


def test_a_model_without_a_batch_price_is_unpriced():
    without = [
        model
        for model in catalog().models
        if (card := catalog().find(model, on=NOW)) is not None and card.batch is None
    ]

    found = scanned(*[row(f"m{n}", model=model) for n, model in enumerate(without)])

    assert found.unpriced == max(1, len(without))


def test_a_body_that_could_be_read_as_utf_16_has_an_unpriced_row():
    body = json.dumps({"requests": [row()]}).encode()
    found = scan(body + body.decode().encode("utf-16-le"))

    assert (len(found), found.unpriced >= 1) == (1, True)
