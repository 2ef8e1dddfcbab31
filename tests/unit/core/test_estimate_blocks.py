import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.estimate_blocks import Features, read_features
from farthing.core.estimate_text import CLASSES, count_classes
from farthing.wire.blocks import Block
from farthing.wire.models import ModelTraits

OLD = ModelTraits(id="claude-old", tokenizer="old", image_limits=(1568, 1568))
NEW = ModelTraits(id="claude-new", tokenizer="new")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = [
    "text",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "web_search_tool_result",
    "image",
    "document",
    "invented_tomorrow",
]


def block(
    value: Any, *, level: Any = "messages", role: str | None = "user", address: str = "x"
) -> Block:
    return Block(address, level, role, json.dumps(value).encode())


def read(value: Any, traits: ModelTraits = OLD, **place: Any) -> Features:
    return read_features(block(value, **place), traits)


def words(features: Features) -> int:
    return dict(zip(CLASSES, features.counts, strict=True))["word"]


def frames(features: Features) -> dict[str, int]:
    return {name: times for name, times in features.structures if times}


@pytest.mark.parametrize(
    ("role", "frame"),
    [
        ("user", "user_text"),
        ("assistant", "assistant_text"),
        (None, "system_text"),
        ("system", "system_text"),
    ],
)
def test_text_is_counted_decoded_in_the_frame_of_its_role(role, frame):
    features = read({"type": "text", "text": "one\ntwo"}, role=role)

    assert features.content == "text"
    assert features.counts == count_classes(b"one\ntwo")
    assert frames(features) == {frame: 1}


def test_string_content_counts_like_a_text_block():
    assert read("one two").counts == read({"type": "text", "text": "one two"}).counts


def test_half_a_surrogate_pair_is_counted_by_its_bytes():
    features = read_features(Block("x", "messages", "user", rb'"ab \ud800"'), OLD)

    assert features.counts == count_classes(rb'"ab \ud800"')


def test_shown_thinking_is_counted_as_text():
    features = read({"type": "thinking", "thinking": "let me see", "signature": ""})

    assert (features.content, words(features), features.opaque_bytes) == ("thinking", 3, 0)
    assert frames(features) == {"thinking": 1}


# Measured on the recorded transcripts: a signature decodes to the whole thinking plus 174 bytes.
@pytest.mark.parametrize(
    ("text_bytes", "signature_bytes", "hidden"),
    [(100, 274, 0), (100, 338, 0), (100, 339, 65), (0, 1374, 1200)],
)
def test_thinking_behind_a_signature_is_counted_by_its_bytes(text_bytes, signature_bytes, hidden):
    signature = base64.b64encode(bytes(signature_bytes)).rstrip(b"=").decode()

    features = read({"type": "thinking", "thinking": "x" * text_bytes, "signature": signature})

    assert features.opaque_bytes == hidden


def test_redacted_thinking_is_counted_by_its_bytes():
    features = read({"type": "redacted_thinking", "data": "A" * 400})

    assert (features.content, features.opaque_bytes) == ("thinking", 300 - 174)


def test_a_call_is_its_name_and_its_arguments_without_quoting():
    features = read(
        {"type": "tool_use", "id": "t", "name": "Edit", "input": {"a": "x\ny", "n": [1]}}
    )

    assert features.content == "tool_use"
    assert features.counts == count_classes(b"Edit\na\nx\ny\nn\n[1]")
    assert frames(features) == {"tool_use": 1, "argument": 2}


def test_a_call_without_an_input_object_is_its_name():
    assert words(read({"type": "tool_use", "name": "Edit", "input": None})) == 1


def test_a_result_is_the_text_in_it():
    listed = read(
        {"type": "tool_result", "content": [{"type": "text", "text": "three small words"}]}
    )
    plain = read({"type": "tool_result", "tool_use_id": "toolu_1", "content": "three small words"})

    assert listed.counts == plain.counts
    assert (plain.content, frames(plain)) == ("tool_result", {"tool_result": 1})


def test_a_failed_result_has_a_larger_frame():
    features = read({"type": "tool_result", "content": "", "is_error": True})

    assert frames(features) == {"tool_result": 1, "tool_error": 1}


def test_an_image_in_a_result_counts_by_its_formula_and_not_by_its_bytes():
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 8000}}

    features = read({"type": "tool_result", "content": [image, "loose text"]})

    assert (features.fixed_tokens, words(features)) == (1568, 2)
    assert features.bound < 1568 + 400


def test_encrypted_results_are_counted_by_their_bytes():
    result = {"type": "web_search_result", "title": "a page", "encrypted_content": "A" * 400}

    features = read({"type": "web_search_tool_result", "content": [result]})

    assert (words(features), features.opaque_bytes) == (2, 300)


def test_numbers_in_an_unknown_block_are_counted():
    features = read({"type": "invented_tomorrow", "deep": {"value": 12, "id": "skip"}})

    assert (features.content, features.counts) == ("other", count_classes(b"12"))


def test_an_image_by_address_counts_as_the_largest():
    assert (
        read({"type": "image", "source": {"type": "url", "url": "https://x"}}).fixed_tokens == 1568
    )
    assert read({"type": "image"}).fixed_tokens == 1568


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"type": "text", "data": "in plain text"}, 3),
        ({"type": "content", "content": "a string"}, 2),
        ({"type": "content", "content": [{"type": "text", "text": "some blocks here"}]}, 3),
        (None, 0),
    ],
)
def test_a_document_of_text_counts_as_text(source, expected):
    features = read({"type": "document", "source": source, "title": "Title"})

    assert (words(features), features.fixed_tokens) == (expected + 1, 0)


def test_a_pdf_counts_by_its_pages():
    features = read({"type": "document", "source": {"type": "url", "url": "https://x"}})

    assert features.fixed_tokens == 10 * (2250 + 1568)


def test_a_tool_is_its_definition():
    tool = {"name": "look", "description": "Looks.", "cache_control": {"type": "ephemeral"}}

    features = read(tool, level="tools", role=None)

    assert features.counts == count_classes(b'{"name":"look","description":"Looks."}')
    assert (features.content, frames(features)) == ("other", {"tool": 1})


@pytest.mark.parametrize(("traits", "tokens"), [(OLD, 244), (NEW, 325)])
def test_a_tool_of_the_provider_counts_as_documented(traits, tokens):
    features = read({"type": "bash_20250124", "name": "bash"}, traits, level="tools", role=None)

    assert (features.fixed_tokens, frames(features)) == (tokens, {})


# Section 9.1 of the API facts: the API strips the client's accounting line.
@pytest.mark.parametrize(("address", "expected"), [("system.0", 0), ("system.1", 5)])
def test_the_attribution_line_is_free_where_the_api_strips_it(address, expected):
    line = {"type": "text", "text": "x-anthropic-billing-header: cc"}

    assert words(read(line, level="system", role=None, address=address)) == expected


@given(st.sampled_from(KINDS), st.dictionaries(st.text(max_size=9), JSON, max_size=4), JSON, JSON)
def test_no_block_is_too_odd_to_be_read(kind, others, content, source):
    features = read(others | {"type": kind, "content": content, "source": source, "input": source})

    assert min(features.counts) >= 0
    assert features.opaque_bytes >= 0
    assert features.bound > 0


@given(st.sampled_from(KINDS[:6]), st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_a_block_has_no_more_text_than_bytes(kind, text, given_input):
    raw = block(
        {"type": kind, "text": text, "thinking": text, "content": text, "input": given_input}
    )

    characters = sum(read_features(raw, OLD).counts[i] for i in (0, 1, 4, 7, 8, 9, 11, 12, 13, 14))

    assert characters <= read_features(raw, OLD).bound
