"""Keys in one order, nothing else respelled."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import RequestError
from farthing.wire.sorted_json import sorted_keys

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_the_value_stays_and_its_keys_are_in_order(value):
    found = sorted_keys(json.dumps(value).encode())
    assert json.loads(found) == value
    assert found == sorted_keys(found)


@given(st.dictionaries(st.text(max_size=3), values, min_size=1, max_size=4), st.randoms())
def test_the_order_in_which_keys_came_does_not_show(value, random):
    keys = list(value)
    random.shuffle(keys)
    shuffled = {key: value[key] for key in keys}
    one, other = (json.dumps(each, indent=2).encode() for each in (value, shuffled))
    assert sorted_keys(one) == sorted_keys(other)


def test_numbers_strings_and_arrays_stay_as_they_came():
    raw = b' {"b": [2, 1, 1.00, 1e3], "a": "\\u00e9 {\\"x\\": 1}"} '
    assert sorted_keys(raw) == b'{"a":"\\u00e9 {\\"x\\": 1}","b":[2,1,1.00,1e3]}'


def test_a_key_given_twice_has_no_place_in_an_order():
    with pytest.raises(RequestError, match="a key twice"):
        sorted_keys(b'{"a":{"x":1,"x":2}}')


@pytest.mark.parametrize("depth", [101, 100_000])
def test_a_value_nested_too_deeply_is_refused(depth):
    sorted_keys(b"[" * 100 + b"]" * 100)
    with pytest.raises(RequestError):
        sorted_keys(b"[" * depth + b"1" + b"]" * depth)
