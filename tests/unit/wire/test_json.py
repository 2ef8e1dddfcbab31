from __future__ import annotations

import json as stdlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import RequestError
from farthing.wire import json
from tests.unit.wire.spelling import json_values, spelled


def slices(raw: bytes) -> list[tuple[str, bytes]]:
    return [(member.name, raw[member.start : member.end]) for member in json.members(raw)]


def test_members_keep_whitespace_escapes_and_number_spelling_outside_themselves():
    raw = b' { "a" : 1.00 ,\n"b\\u0062":[1, 2] , "" :"\\"}"} '

    assert slices(raw) == [("a", b"1.00"), ("bb", b"[1, 2]"), ("", b'"\\"}"')]


def test_a_key_given_twice_is_found_twice():
    assert slices(b'{"a":[1,2],"a":3}') == [("a", b"[1,2]"), ("a", b"3")]


def test_a_repeated_key_whose_lengths_mislead_is_still_read_right():
    raw = b'{"a":{"q":0,"b":1},"b":"zz","a":{"q":0}}'

    assert slices(raw) == [("a", b'{"q":0,"b":1}'), ("b", b'"zz"'), ("a", b'{"q":0}')]


@pytest.mark.parametrize(
    ("value", "other"),
    [(b"true", b"0"), (b'"a\\"]}"', b"0"), (b'{"x":["]"]}', b"0"), (b"-1.5e3", b"null")],
)
def test_the_slow_scanner_skips_each_kind_of_value(value: bytes, other: bytes):
    raw = b'{"a": %b , "a": %b }' % (value, other)

    assert slices(raw) == [("a", value), ("a", other)]


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values).flatmap(
        lambda value: st.tuples(st.just(value), spelled(value))
    )
)
def test_members_are_the_object(case: tuple[dict[str, Any], bytes]):
    value, raw = case

    assert {name: stdlib.loads(each) for name, each in slices(raw)} == value


@given(st.lists(json_values).flatmap(lambda value: st.tuples(st.just(value), spelled(value))))
def test_elements_are_the_array(case: tuple[list[Any], bytes]):
    value, raw = case

    assert [stdlib.loads(raw[start:end]) for start, end in json.elements(raw)] == value
    assert [stdlib.loads(each) for each in json.array_values(raw)] == value


@pytest.mark.parametrize("raw", [b"", b"nul", b"{", b'{"a":1}x', b"[" * 100_000, b'{"\xff":1}'])
def test_what_is_no_object_is_a_request_error(raw: bytes):
    with pytest.raises(RequestError, match="expected an object"):
        json.members(raw)


@pytest.mark.parametrize("raw", [b"", b"[1,]", b"[" * 100_000, b"{}", b"[1]x"])
def test_what_is_no_array_is_a_request_error(raw: bytes):
    with pytest.raises(RequestError, match="expected an array"):
        json.elements(raw)


@pytest.mark.parametrize("raw", [b'"\\ud800"', b'"\xff"', b"1", b'"'])
def test_what_is_no_string_is_a_request_error(raw: bytes):
    with pytest.raises(RequestError, match="expected a string"):
        json.decode_string(raw)


@pytest.mark.parametrize("raw", [b"1", b' {"a":[]} ', '"é"'.encode()])
def test_json_is_valid(raw: bytes):
    assert json.is_valid(raw)


@pytest.mark.parametrize("raw", [b"", b"1 2", b'"\xff"', b"[" * 100_000, b"NaN", b"01"])
def test_what_is_not_json_is_not_valid(raw: bytes):
    assert not json.is_valid(raw)


def test_an_error_never_shows_content():
    with pytest.raises(RequestError) as caught:
        json.members(b'{"secret": hunter2}')

    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)
