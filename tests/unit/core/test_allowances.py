"""What an operator declares takes the place of the provider's limits where bytes say nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from farthing.core.allowances import NOTHING_DECLARED, Allowances, saved_by
from farthing.core.estimate import BlockMemo
from farthing.core.hold import WorstCase, worst_case
from farthing.pricing import catalog
from farthing.wire.request import Request

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
MODEL = "claude-opus-5-5"
URL = {"type": "url", "url": "https://example.org/a"}
FILE = {"type": "file", "file_id": "file_1"}
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]


def worst(allowances: Allowances = NOTHING_DECLARED, **fields: Any) -> WorstCase:
    body = {"model": MODEL, "max_tokens": 50, "messages": []} | fields
    found = worst_case(
        Request.parse(json.dumps(body).encode()),
        prices=catalog(),
        memo=BlockMemo(),
        now=NOW,
        allowances=allowances,
    )
    assert found is not None
    return found


def asking(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def block(kind: str, source: Any) -> dict[str, Any]:
    return {"type": kind, "source": source}


def inside(*content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", "content": list(content)}


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        ([block("image", URL)], {"image_url": 300}),
        ([block("image", URL), block("image", URL)], {"image_url": 300}),
        ([inside(block("image", URL))], {"image_url": 300}),
        ([block("image", FILE)], {"file": 300}),
    ],
)
def test_what_is_declared_is_held_for_each(content: list[Any], declared: dict[str, int]):
    without, fields = worst(**asking(*content)), asking(*content)
    _, most = (catalog().traits(MODEL) or pytest.fail("unknown")).image_limits

    with_it = worst(Allowances(**declared), **fields)

    count = json.dumps(content).count('"image"')
    assert without.prompt_tokens - with_it.prompt_tokens == count * (most - 300)
    assert with_it.hold_pico < without.hold_pico
    assert worst(Allowances(**dict.fromkeys(declared, 10**9)), **fields) == without


@pytest.mark.parametrize("source", [URL, FILE])
def test_a_document_that_lies_elsewhere_is_the_context_unless_it_is_declared(source: Any):
    context = (catalog().traits(MODEL) or pytest.fail("unknown")).context_tokens
    fields = asking(block("document", source))

    assert worst(**fields).prompt_tokens == context
    declared = Allowances(document_url=9_000, file=9_000)
    assert worst(declared, **fields).prompt_tokens < 20_000


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "no source"}],
        [block("image", {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="})],
        [block("image", None)],
        [{"type": "text", "text": "beside"}, block("image", None)],
        [block("document", {"type": "text", "media_type": "text/plain", "data": "hello"})],
    ],
)
def test_what_is_in_the_request_is_bound_by_its_bytes(content: list[Any]):
    everything = Allowances(image_url=1, document_url=1, file=1)

    assert worst(everything, **asking(*content)) == worst(**asking(*content))


def test_of_two_kinds_only_the_one_that_is_declared_is_held_for_less():
    fields = asking(block("image", URL), block("image", FILE))
    one = worst(**asking(block("image", FILE)))

    held = worst(Allowances(image_url=0), **fields).prompt_tokens
    assert 0 < held - one.prompt_tokens < 300


def test_a_request_that_cannot_be_read_saves_nothing():
    traits = catalog().traits(MODEL)
    assert traits is not None
    request = Request.parse(b'{"messages": [{"role": "user", "content": 7, "source": 1}]}')

    assert saved_by(Allowances(file=1), request, traits) == 0


def test_a_thread_is_the_context_unless_it_is_declared():
    context = (catalog().traits(MODEL) or pytest.fail("unknown")).context_tokens
    thread: dict[str, Any] = {"thread": {"id": "thread_1"}}

    assert worst(**thread).prompt_tokens == context
    assert worst(Allowances(thread=5_000), **thread).prompt_tokens < 20_000
    both = thread | {"container": "container_1"}
    assert worst(Allowances(thread=5_000), **both).prompt_tokens == context


def test_server_tools_may_add_to_the_prompt_and_search_so_often():
    plain, declared = worst(tools=SEARCH), worst(Allowances(server_tools=70_000), tools=SEARCH)
    fewer = worst(Allowances(searches=3), tools=SEARCH)

    assert declared.prompt_tokens - plain.prompt_tokens == 70_000
    fee = plain.card.web_search
    assert fee
    assert plain.high_pico - fewer.high_pico == 197 * max(
        card.web_search or 0
        for card in (catalog().find(model, on=NOW) for model in catalog().models)
        if card is not None
    )
