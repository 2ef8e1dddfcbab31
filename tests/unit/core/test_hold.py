from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given

from farthing.core.estimate import BlockMemo
from farthing.core.hold import WorstCase, worst_case
from farthing.pricing import catalog, price
from farthing.wire.json import raw_members
from farthing.wire.request import Request
from farthing.wire.usage import Iteration, Usage
from tests.unit.wire.spelling import bodies, spelled

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MODEL = "claude-opus-5-5"
CARD = catalog().find(MODEL, on=NOW)
assert CARD is not None
RATES = CARD.bands[0].rates
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (2000).to_bytes(4, "big") * 2
).decode()


def request(**fields: Any) -> Request:
    said = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    said |= fields
    return Request.parse(json.dumps({k: v for k, v in said.items() if v is not None}).encode())


def bound(asked: Request) -> WorstCase:
    found = worst_case(asked, prices=catalog(), memo=BlockMemo(), now=NOW)
    assert found is not None
    return found


def tool(type_: str) -> list[dict[str, Any]]:
    return [{"type": type_, "name": "t"}]


def test_a_plain_call_holds_its_bytes_at_the_write_price_and_all_its_output():
    asked = request()
    tokens = len(asked.body) + 8192

    worst = bound(asked)

    dearest = (tokens * RATES.cache_write_5m + 10 * RATES.output) * 11 // 10
    assert worst.prompt_tokens == tokens
    assert worst.hold_pico == worst.high_pico
    assert 0 <= worst.high_pico - dearest <= 1


@pytest.mark.parametrize("model", ["claude-unknown-9", None])
def test_what_has_no_price_has_no_bound(model: str | None):
    asked = request(model=model)

    assert worst_case(asked, prices=catalog(), memo=BlockMemo(), now=NOW) is None


def test_an_hour_is_held_at_its_own_price():
    mark = {"type": "ephemeral", "ttl": "1h"}

    assert bound(request(cache_control=mark)).high_pico > 1.5 * bound(request()).high_pico


def test_asking_for_fast_mode_doubles_the_hold():
    assert bound(request(speed="fast")).high_pico > 1.9 * bound(request()).high_pico


def test_without_max_tokens_the_models_own_limit_counts():
    assert bound(request(max_tokens=None)).output_tokens == 128_000


def test_an_image_is_weighed_by_its_size_and_not_by_its_bytes():
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    image = [{"role": "user", "content": [{"type": "image", "source": source}]}]

    worst = bound(request(messages=image))

    assert worst.prompt_tokens > len(request(messages=image).body) + 8192
    assert worst.is_single_pass


@pytest.mark.parametrize(
    "fields",
    [{"thread": {"type": "continue", "previous_message_id": "msg_1"}}, {"container": "c1"}],
)
def test_a_prompt_that_lies_elsewhere_is_bounded_by_the_context(fields: dict[str, Any]):
    assert bound(request(**fields)).prompt_tokens == 1_000_000


def test_a_long_body_is_never_more_than_the_context():
    long = [{"role": "user", "content": "x" * 1_100_000}]

    assert bound(request(messages=long)).prompt_tokens == 1_000_000


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": tool("web_search_20250305")},
        {"tools": tool("web_fetch_20250910")},
        {"tools": tool("code_execution_20250825")},
        {"tools": tool("advisor_20260301")},
        {"tools": tool("tool_of_tomorrow_20270101")},
        {"tools": [7, "_20"]},
        {"mcp_servers": []},
        {"fallbacks": [{"model": "claude-opus-4-8"}]},
        {"context_management": {"edits": []}},
        {"compaction": {"type": "summarize"}},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
    ],
)
def test_what_may_take_several_passes_has_a_wider_proof_than_its_hold(fields: dict[str, Any]):
    body = request(**fields).body.replace(b"image", rb"\u0069mage")

    worst = bound(Request.parse(body))

    assert not worst.is_single_pass
    assert worst.high_pico > 10 * worst.hold_pico


def test_letters_written_as_escapes_inside_a_text_are_text():
    plain = request(messages=[{"role": "user", "content": "image \x01"}]).body
    escaped = plain.replace(b"image", rb"\u0069mage")

    worst = bound(Request.parse(escaped))

    assert worst.is_single_pass
    assert worst.prompt_tokens == len(escaped) + 8192


@given(bodies().flatmap(spelled))
def test_a_request_of_the_usual_shape_is_bounded_as_one_that_is_searched(body: bytes):
    asked = Request.parse(body)
    searched = bound(Request(body, raw_members(body), None))
    found = bound(asked)

    if asked.usual is None:
        assert found == searched
    elif not searched.terms.is_escaped and not searched.terms.may_write_for_an_hour:
        assert found.high_pico == searched.high_pico
        assert found.hold_pico == searched.hold_pico
    else:
        assert found.high_pico <= searched.high_pico


@pytest.mark.parametrize("kind", ["bash_20250124", "text_editor_20250728", "custom"])
def test_tools_that_the_client_runs_take_one_pass(kind: str):
    worst = bound(request(tools=[{"type": kind, "name": "t", "description": "_20"}]))

    assert worst.is_single_pass


def test_a_body_the_estimator_cannot_read_is_bounded_by_the_context():
    broken = request(messages=[7]).body.replace(b"[7]", b'[{"source":"image"},7]')

    assert bound(Request.parse(broken.replace(b'"image"', b'"image"'))).prompt_tokens == 1_000_000


def test_usage_seen_early_narrows_the_bound_to_the_output_still_possible():
    worst = bound(request())
    seen = Usage(uncached=5, output=1)

    said = worst.high_given(msgspec.structs.replace(seen, inference_geo="global"))
    unsaid = worst.high_given(seen)

    assert said == price(Usage(uncached=5, output=10), worst.card).total
    assert unsaid == said * 11 // 10
    assert unsaid < worst.high_pico


def test_a_model_without_regions_has_no_surcharge_to_expect():
    worst = bound(request(model="claude-haiku-4-5"))
    assert not worst.card.geo
    seen = Usage(uncached=5, output=1)

    assert worst.high_given(seen) == price(Usage(uncached=5, output=10), worst.card).total


def test_fast_mode_that_was_asked_for_counts_until_the_answer_says_otherwise():
    worst = bound(request(speed="fast"))
    seen = Usage(uncached=5, output=1, inference_geo="global")

    assert worst.high_given(seen) == 2 * worst.high_given(
        msgspec.structs.replace(seen, speed="standard")
    )


@pytest.mark.parametrize(
    "usage",
    [
        None,
        Usage(output=3),
        Usage(uncached=5, iterations=(Iteration(type="message", model=None, usage=Usage()),)),
        Usage(uncached=5, speed="warp"),
    ],
)
def test_usage_that_does_not_bound_the_rest_leaves_the_proof(usage: Usage | None):
    worst = bound(request())

    assert worst.high_given(usage) == worst.high_pico


def test_several_passes_are_not_bounded_by_the_first():
    worst = bound(request(tools=tool("web_search_20250305")))

    assert worst.high_given(Usage(uncached=5)) == worst.high_pico


def test_on_every_card_a_larger_prompt_is_never_cheaper():
    """What the bound rests on: it prices the largest prompt, on that prompt's band."""
    for card in catalog().cards:
        for lower, upper in zip(card.bands, card.bands[1:], strict=False):
            for (name, rate), (_, higher) in zip(lower.rates.items, upper.rates.items, strict=True):
                assert rate <= higher, (card.id, name)
