"""Splicing: what is not ours keeps its bytes, and taking ours out again leaves what was there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.cli.claude_settings import environment_in, with_variables, without_variables
from farthing.errors import ConfigError

URL = "http://127.0.0.1:8787"
OURS = {"ANTHROPIC_BASE_URL": URL, "ENABLE_TOOL_SEARCH": "true"}

NAMES = st.sampled_from(["env", "model", "permissions", "héé", 'a"b', "", "}", "hooks"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)
VARIABLES = st.dictionaries(st.sampled_from([*OURS, "PATH", "X"]), st.text(max_size=8), max_size=4)


@st.composite
def settings_files(draw: st.DrawFn) -> bytes:
    """Settings as some editor would leave them."""
    document: dict[str, Any] = draw(st.dictionaries(NAMES.filter(lambda n: n != "env"), VALUES))
    if draw(st.booleans()):
        items = list(document.items())
        items.insert(draw(st.integers(0, len(items))), ("env", draw(VARIABLES)))
        document = dict(items)
    text = json.dumps(
        document,
        indent=draw(st.sampled_from([None, 0, 2, 4, "\t"])),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", " : ")])),
    )
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    end = draw(st.sampled_from(["", "\n", "\n\n"]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + (text + end).encode()


def loaded(raw: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(raw.decode("utf-8-sig"))
    return document


@given(raw=settings_files())
def test_setting_changes_the_variables_and_nothing_else(raw: bytes) -> None:
    expected = loaded(raw)
    expected["env"] = {**expected.get("env", {}), **OURS}

    after = with_variables(raw, OURS)

    assert loaded(after) == expected
    assert list(loaded(after)) == list(expected)
    assert environment_in(after) == expected["env"]


@given(raw=settings_files())
def test_taking_out_gives_what_was_there(raw: bytes) -> None:
    after, kept = without_variables(with_variables(raw, OURS), OURS, raw)

    assert kept == ()
    assert loaded(after) == loaded(raw)
    assert list(loaded(after).get("env", {})) == list(loaded(raw).get("env", {}))
    if loaded(raw):  # an empty object may lose the white space in it
        assert after == raw


@given(raw=settings_files(), edit=VALUES)
def test_edits_in_between_stay_byte_for_byte(raw: bytes, edit: Any) -> None:
    added = b',\n\t"edited" :  ' + json.dumps(edit).encode()

    def edited(settings: bytes) -> bytes:
        end = settings.rindex(b"}")
        empty = not loaded(settings)
        return settings[:end] + (added[1:] if empty else added) + settings[end:]

    after, kept = without_variables(edited(with_variables(raw, OURS)), OURS, raw)

    assert kept == ()
    assert loaded(after) == {**loaded(raw), "edited": edit}
    assert added.lstrip(b",\n\t") in after


@pytest.mark.parametrize(
    ("raw", "after"),
    [
        (None, b'{\n  "env": {\n    "A": "1",\n    "B": "2"\n  }\n}\n'),
        (b"", b'{\n  "env": {\n    "A": "1",\n    "B": "2"\n  }\n}\n'),
        (b"{}\n", b'{\n  "env": {\n    "A": "1",\n    "B": "2"\n  }\n}\n'),
        (b'{"m":1}', b'{"m":1, "env": {"A": "1", "B": "2"}}'),
        (
            b'{\n\t"m": 1\n}',
            b'{\n\t"m": 1,\n\t"env": {\n\t\t"A": "1",\n\t\t"B": "2"\n\t}\n}',
        ),
        (
            b'{\n  "env": {\n    "A": "old"\n  }\n}\n',
            b'{\n  "env": {\n    "A": "1",\n    "B": "2"\n  }\n}\n',
        ),
    ],
)
def test_what_is_added_is_written_in_the_files_own_hand(raw: bytes | None, after: bytes) -> None:
    assert with_variables(raw, {"A": "1", "B": "2"}) == after


def test_a_former_value_comes_back_as_it_was_written() -> None:
    raw = rb'{"env": {"ANTHROPIC_BASE_URL": "https:\/\/gateway"}}'
    edited = with_variables(raw, OURS).replace(b"{", b'{"more": 1, ', 1)

    after, _ = without_variables(edited, OURS, raw)

    assert after == raw.replace(b"{", b'{"more": 1, ', 1)


def test_a_variable_that_was_set_anew_is_not_ours() -> None:
    raw = b'{"env": {"A": "b"}}'
    edited = with_variables(raw, OURS).replace(URL.encode(), b"http://elsewhere")

    after, kept = without_variables(edited, OURS, raw)

    assert kept == ("ANTHROPIC_BASE_URL",)
    assert loaded(after) == {"env": {"A": "b", "ANTHROPIC_BASE_URL": "http://elsewhere"}}


def test_variables_that_are_gone_are_no_concern() -> None:
    assert without_variables(b'{"m": 1}', OURS, None) == (b'{"m": 1}', ())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"env": {},}', "cannot be read"),
        (b'// mine\n{"env": {}}', "without comments"),
        (b"[1]", "one JSON object"),
        (b'{"a": 1} {"b": 2}', "cannot be read"),
        (b"\xff\xfe{}", "cannot be read"),
        (b'{"env": {}, "env": {"A": "b"}}', "2 times"),
        (b'{"env": []}', "no object"),
        (b'{"env": null}', "no object"),
        (b'{"env": {"ANTHROPIC_BASE_URL": "a", "ANTHROPIC_BASE_URL": "b"}}', "2 times"),
    ],
)
def test_what_cannot_be_read_for_sure_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        with_variables(raw, OURS)


def test_a_variable_that_is_no_text_is_shown_as_none() -> None:
    assert environment_in(b'{"env": {"A": 1, "B": "x"}}') == {"A": None, "B": "x"}
    assert environment_in(None) == {}
