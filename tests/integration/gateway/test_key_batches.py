"""Batches of keys that are limited to some models, and bodies that show two readers two batches."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farthing.compose.access import key_desk
from farthing.compose.budgets import budget_desk
from farthing.core.budgets import Budget
from farthing.driver.keys import NewKey
from farthing.gateway import batch_bodies
from farthing.ledger.audit_log import read_events
from tests.integration.gateway.keyed import Keyed, keyed_gateway
from tests.integration.gateway.raw_http import RawUpstream
from tests.integration.gateway.test_bytes import JSON
from tests.waiting import eventually

HAIKU, OPUS = "claude-haiku-4-5", "claude-opus-4-5"
PATH = "/v1/messages/batches"
DOLLAR = 10**12


@pytest.fixture
def keyed(upstream: RawUpstream, tmp_path: Path) -> Iterator[Keyed]:
    with key_desk(tmp_path / "ledger.db") as (desk, _):
        small = NewKey(name="small", models=["claude-haiku-*"])
        text = desk.create(small, actor="test").text
    with keyed_gateway(upstream.url, tmp_path) as running:
        running.texts["small"] = text
        yield running


def params(model: str | None = HAIKU, **given: Any) -> dict[str, Any]:
    named = {} if model is None else {"model": model}
    return named | {"max_tokens": 5, "messages": [{"role": "user", "content": "é"}]} | given


def rows(*each: dict[str, Any]) -> bytes:
    found = [{"custom_id": f"r{n}", "params": one} for n, one in enumerate(each)]
    return json.dumps({"requests": found}, ensure_ascii=False).encode()


def create(
    keyed: Keyed, body: bytes, *headers: tuple[bytes, bytes], key: str = "small", path: str = PATH
) -> int:
    answer = keyed.ask("POST", path, body, key=keyed.texts[key], headers=[*JSON, *headers])
    return answer.status


@pytest.mark.parametrize("is_held", [False, True], ids=["no budget", "a budget"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/", f"{PATH}?beta=true"])
def test_a_batch_of_allowed_models_goes_on_as_it_came(
    keyed: Keyed, upstream: RawUpstream, path: str, is_held: bool
) -> None:
    if is_held:
        budget = Budget(name="b", scope="everything", limit_pico=DOLLAR)
        body = json.dumps({"scope": "everything", "limit_usd": "1"}).encode()
        at = f"/farthing/v1/budgets/{budget.name}"
        assert keyed.ask("PUT", at, body, key=keyed.texts["admin"], headers=JSON).status == 200
    sent = rows(params(), params(fallbacks=[{"model": "claude-haiku-4-5-20251001"}]))

    assert create(keyed, sent, path=path) == 200
    assert [received.body for received in upstream.received] == [sent]


GOOD = rows(params())
WRONG = {
    "one row of many": rows(params(), params(OPUS), params()),
    "no model": rows(params(None)),
    "a fallback": rows(params(fallbacks=[{"model": OPUS}])),
    "a tool": rows(params(tools=[{"type": "advisor_20260301", "model": OPUS}])),
    "a model twice": b'{"requests":[{"params":{"model":"%b","model":"%b"}}]}'
    % (OPUS.encode(), HAIKU.encode()),
    "params twice": b'{"requests":[{"params":{"model":"%b"},"p\\u0061rams":{"model":"%b"}}]}'
    % (OPUS.encode(), HAIKU.encode()),
    "no params": b'{"requests":[{"custom_id":"a"}]}',
    "params that are none": b'{"requests":[{"custom_id":"a","params":[]}]}',
    "requests twice": GOOD[:-1] + b"," + rows(params(OPUS))[1:],
    "a second document": GOOD + rows(params(OPUS)),
    "no rows": b'{"requests":[]}',
    "no batch": b"[]",
    "nothing": b"",
    "UTF-16": GOOD + rows(params(OPUS)).decode().encode("utf-16-le"),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_batch_with_anything_else_in_it_is_refused_whole(
    keyed: Keyed, upstream: RawUpstream, body: bytes
) -> None:
    assert create(keyed, body) in {400, 403}
    assert upstream.received == []
    assert create(keyed, body or b"{}", key="client") == 200


def test_a_refused_batch_is_in_the_journal_and_leaves_no_file(
    keyed: Keyed, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_bodies, "_IN_MEMORY", 1_000)
    monkeypatch.setattr(batch_bodies, "_PIECE", 700)
    assert create(keyed, rows(*[params()] * 50, params(OPUS))) == 403
    assert upstream.received == []

    eventually(lambda: "call.refused" in [one.kind for one in read_events(keyed.ledger)])
    [event] = [one for one in read_events(keyed.ledger) if one.kind == "call.refused"]
    assert (event.subject, event.facts["why"]) == ("key:small", "access.model_not_allowed")


def test_a_limited_key_cancels_a_batch(keyed: Keyed, upstream: RawUpstream) -> None:
    assert create(keyed, b"", path=f"{PATH}/msgbatch_1/cancel") == 200
    assert len(upstream.received) == 1


def two_faced() -> bytes:
    """A gzip file of a dear batch whose comment is a cheap one."""
    packed = gzip.compress(rows(params(OPUS, max_tokens=60_000)), mtime=0)
    return packed[:3] + b"\x10" + packed[4:10] + GOOD + b"\0" + packed[10:]


CODINGS: list[list[tuple[bytes, bytes]]] = [
    [(b"content-encoding", b"gzip")],
    [(b"content-encoding", b"identity"), (b"content-encoding", b"gzip")],
]


@pytest.mark.parametrize("body", [two_faced(), GOOD], ids=["two-faced", "said to be compressed"])
@pytest.mark.parametrize("headers", CODINGS, ids=["gzip", "identity, then gzip"])
def test_a_compressed_batch_that_looks_like_a_small_one_is_not_taken_for_it(
    keyed: Keyed, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    assert create(keyed, body, *headers) == 403

    budget_desk(keyed.ledger).set(
        Budget(name="b", scope="everything", limit_pico=DOLLAR, mode="strict"), actor="test"
    )
    eventually(lambda: create(keyed, body, *headers, key="client") == 402)


def test_the_two_faced_batch_has_two_faces() -> None:
    assert GOOD in two_faced()
    assert b'"max_tokens": 60000' in gzip.decompress(two_faced())


def test_a_batch_in_another_encoding_than_ours_is_unpriced(keyed: Keyed) -> None:
    body = GOOD + rows(params(OPUS)).decode().encode("utf-16-le")
    budget_desk(keyed.ledger).set(
        Budget(name="b", scope="everything", limit_pico=DOLLAR), actor="test"
    )
    eventually(lambda: create(keyed, body, key="client") == 402)
    assert create(keyed, GOOD, key="client") == 200
