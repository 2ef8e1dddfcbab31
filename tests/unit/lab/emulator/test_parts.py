"""Small parts: clocks, signatures, schema values, recorded sizes of odd blocks."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from farthing.errors import ConfigError
from farthing.lab.emulator import Emulator, Settings
from farthing.lab.emulator.blocks import block_of
from farthing.lab.emulator.breakpoints import find_breakpoints
from farthing.lab.emulator.clock import RealClock, VirtualClock
from farthing.lab.emulator.prompt import PromptReader
from farthing.lab.emulator.schema_values import value_for
from farthing.lab.emulator.signature import Binding, Signer, thinking_tokens
from farthing.lab.emulator.sizes import block_size
from farthing.lab.emulator.tokenizer import measure_text
from tests.unit.lab.emulator.talking import Client, long_text, user

START = datetime(2026, 11, 16, tzinfo=UTC)


def test_sleeping_on_the_virtual_clock_moves_it_and_never_back() -> None:
    clock = VirtualClock(START)
    begun = clock.now()
    asyncio.run(clock.sleep_until(begun + 3600))
    asyncio.run(clock.sleep_until(begun))
    assert clock.now() == begun + 3600


def test_time_only_moves_on() -> None:
    with pytest.raises(ConfigError):
        VirtualClock(START).advance(-1)


def test_the_real_clock_is_the_machines_and_cannot_be_moved() -> None:
    clock = Emulator(Settings(clock="real")).clock
    assert isinstance(clock, RealClock)
    assert abs(clock.now() - time.time()) < 5
    asyncio.run(clock.sleep_until(clock.now() + 0.001))
    with pytest.raises(ConfigError):
        clock.advance(1)


def binding(**facts: Any) -> Binding:
    plain = {"tokens": 7, "organization": b"o" * 8, "readers": b"r" * 8, "prefix": b"p" * 16}
    return Binding(**{**plain, "before": b"b" * 8, **facts})


def test_a_signature_gives_back_what_it_was_made_of() -> None:
    signature = Signer(b"key").sign(binding(), "text")
    assert Signer(b"key").open(signature, "text") == binding()
    assert thinking_tokens(signature) == 7


@pytest.mark.parametrize(("key", "text"), [(b"other", "text"), (b"key", "changed")])
def test_another_key_or_text_does_not_open_it(key: bytes, text: str) -> None:
    signature = Signer(b"key").sign(binding(), "text")
    assert Signer(key).open(signature, text) is None


@pytest.mark.parametrize("text", ["", "abc", "ä", base64.b64encode(b"x" * 66).decode()])
def test_foreign_signatures_are_none_of_ours(text: str) -> None:
    assert Signer(b"key").open(text, "") is None
    assert thinking_tokens(text) is None


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (True, None),
        ({"type": ["null", "string"]}, None),
        ({"oneOf": [{"const": 1}]}, 1),
        ({"enum": ["only"]}, "only"),
        ({"type": "integer", "minimum": 9, "maximum": 9}, 9),
        ({"type": "integer", "minimum": 5, "maximum": 1}, 5),
        ({"type": "array", "items": {"const": 2}, "minItems": 3}, [2, 2, 2]),
        ({"properties": {"a": {"const": 1}, "b": {}}, "required": ["a"]}, {"a": 1}),
        ({"type": "array", "items": {"const": 2}, "minItems": "x"}, [2]),
    ],
)
def test_values_fit_their_schema(schema: Any, value: Any) -> None:
    assert value_for(schema, Random(0)) == value


def test_a_text_has_the_same_size_every_time_and_more_tokens_in_the_newer_tokenizer() -> None:
    text = "Refactor the authentication middleware; keep 12345 sessions — naïve? 你好\n\n\t\tend"
    assert measure_text(text) == measure_text(text)
    assert measure_text(text).new > measure_text(text).old > 15
    assert measure_text("") == (0, 0)


@pytest.mark.parametrize(
    ("kind", "value", "least", "most"),
    [
        ("tool", {"type": "bash_20250124", "name": "bash"}, 325, 325),
        ("tool", {"type": "text_editor_20250728", "name": "edit"}, 700, 700),
        ("redacted_thinking", {"data": "word " * 10}, 10, 40),
        ("compaction", {"content": "word " * 10}, 10, 30),
        ("document", {"source": "none"}, 0, 0),
        ("document", {"source": {"type": "content", "content": "word " * 10}}, 10, 30),
        ("search_result", {"content": [{"type": "text", "text": "word"}, "odd"]}, 5, 30),
        ("custom", {"content": {"a": 1}}, 5, 30),
        ("custom", {}, 9, 9),
    ],
)
def test_every_kind_of_block_has_a_size(kind: str, value: Any, least: int, most: int) -> None:
    assert least <= block_size(kind, value).new <= most


def test_the_remembered_slices_are_bounded() -> None:
    reader = PromptReader(bytes_max=10_000)
    for n in range(50):
        body = {"messages": [user(f"{n} " + "with " * 200)]}
        assert len(reader.read(json.dumps(body).encode()).messages) == 1
    assert reader._bytes <= 10_000


def test_markers_on_inner_content_count_for_the_parent() -> None:
    client = Client()
    use = {"type": "tool_use", "id": "a", "name": "t", "input": {}}
    inner = {**long_text(5000), "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [inner]}
    messages = [
        user(),
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    assert client.cached(messages=messages)[2] > 5000


def test_automatic_caching_walks_back_over_thinking() -> None:
    spoken = block_of("messages", "user", {"type": "text", "text": "hello"})
    thought = block_of("messages", "assistant", {"type": "thinking", "thinking": ""})
    blocks = [("messages.0.content.0", spoken), ("messages.1.content.0", thought)]
    assert find_breakpoints(blocks, {"type": "ephemeral"}) == ((0, "5m"),)
    assert find_breakpoints(blocks[1:], {"type": "ephemeral"}) == ()
