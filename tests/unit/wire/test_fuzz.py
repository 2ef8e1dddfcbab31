"""Broken, mutated and odd bodies through parse, edits and apply.

Valid JSON comes out, untouched bytes stay, and nothing is raised that is not a ``RequestError``.
A second here; 10^5 bodies under ``make check-full``.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.errors import RequestError
from farthing.wire.apply import apply
from farthing.wire.blocks import Block
from farthing.wire.edits import (
    Edit,
    InsertMessage,
    RemoveBlock,
    RemoveField,
    ReplaceText,
    SetTopLevel,
    mark,
)
from farthing.wire.fingerprint import fingerprint
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from tests.unit.wire.editing import edit_lists, edited
from tests.unit.wire.spelling import bodies, spelled

TRAITS = ModelTraits(id="claude-opus-5-5")
SEED_BODY = json.dumps(
    {
        "model": "claude-opus-5-5",
        "system": [{"type": "text", "text": "sé\\", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "n": 1.5e300}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "input": {"a": [{}]}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "image"}]}]},
        ],
        "max_tokens": 123456789012345678901234567890,
    }
).encode()
INTERESTING = [
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"\xff",
    b"\\ud800",
    b"1e9",
    b" ",
]


#: what a value is exchanged for: every kind of JSON value, and spellings that look like another
VALUES: list[Any] = [
    None,
    True,
    0,
    -1.5e-9,
    10**30,
    "",
    "text",
    '\\"{}[],:€😀',
    [],
    {},
    [[1, "x"], {"type": "image"}],
    {"type": "ephemeral", "ttl": "1h"},
    [{"type": "text", "text": "inner", "cache_control": {"type": "ephemeral"}}],
]
NAMES = ["type", "text", "content", "cache_control", "name", "input", "", "é", "\n"]


def mutated(seed: int) -> bytes:
    """The seed body with some values changed; every fourth one also with bytes cut or exchanged."""
    chance = random.Random(seed)
    value = json.loads(SEED_BODY)
    for _ in range(chance.randint(1, 4)):
        change_a_value(value, chance)
    separators = chance.choice([(",", ":"), (", ", ": "), (" ,\n", "\t:")])
    body = json.dumps(value, separators=separators, ensure_ascii=chance.random() < 0.5).encode()
    return bytes_changed(body, chance) if chance.random() < 0.25 else body


def change_a_value(value: Any, chance: random.Random) -> None:
    """One member or item somewhere is exchanged, added, doubled, moved or removed."""
    holders = list(containers(value))
    # what stands deep in the body is changed as often as the few fields that make it a request
    holder = chance.choice(holders[1:] if len(holders) > 1 and chance.random() < 0.8 else holders)
    if isinstance(holder, dict):
        name = chance.choice([*holder, chance.choice(NAMES)])
        if name in holder and chance.random() < 0.3:
            del holder[name]
        else:
            holder[name] = copy.deepcopy(chance.choice(VALUES))
    else:
        at = chance.randrange(len(holder) + 1)
        new = chance.choice([*holder, *VALUES[:1], {"type": "text", "text": "new"}])
        holder[at : at + chance.randint(0, 1)] = chance.choice([[], [copy.deepcopy(new)]])


def containers(value: Any) -> Iterator[Any]:
    """``value`` and every object and array in it."""
    if isinstance(value, (dict, list)):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def bytes_changed(whole: bytes, chance: random.Random) -> bytes:
    """A few bytes cut, doubled or exchanged."""
    body = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(body) + 1)
        length = chance.choice([0, 1, 1, 2, 8, 40])
        body[at : at + length] = chance.choice(
            [b"", chance.choice(INTERESTING), body[at : at + 20]]
        )
    return bytes(body)


def exercise(body: bytes, request: Request) -> None:
    """Everything that can be done to a body, against the same done to its value."""
    value = json.loads(body)  # what we read, every JSON parser reads
    together: list[Edit] = [
        mark(block.address) for block in request.blocks if block.get("cache_control") is None
    ]
    together += [SetTopLevel("farthing", b"1")]
    if request.message_spans:
        together += [InsertMessage(0, b"{}")]
    singles = (edit for block in request.blocks for edit in edits_of(block))
    for edits in ([], together, *([edit] for edit in singles)):
        assert json.loads(apply(request, edits)) == edited(value, edits)


def edits_of(block: Block) -> Iterator[Edit]:
    yield RemoveBlock(block.address)
    if block.text is not None:
        yield ReplaceText(block.address, "é")
    if not block.is_string and block.get("type"):
        yield RemoveField(block.address, "type")


def survive(seeds: range) -> float:
    """The share of mutated bodies that could be read, and then did as the oracle says."""
    known = Request.parse(SEED_BODY)
    assert known.blocks
    readable = 0
    for seed in seeds:
        body = mutated(seed)
        try:
            request = Request.parse(body, after=known)
            fingerprint(request, TRAITS)
        except RequestError:
            continue
        exercise(body, request)
        readable += 1
    return readable / len(seeds)


def test_mutated_bodies_raise_request_errors_and_nothing_else():
    assert survive(range(1_000)) > 0.6


@pytest.mark.long
def test_a_hundred_thousand_mutated_bodies_raise_request_errors_and_nothing_else():
    assert survive(range(100_000)) > 0.6


@pytest.mark.long
@settings(settings.get_profile("long"), max_examples=10_000)
@given(st.data())
def test_ten_thousand_edited_bodies_are_valid_and_hold_what_was_asked(data: st.DataObject):
    value = data.draw(bodies())
    raw = data.draw(spelled(value))
    edits = data.draw(edit_lists(Request.parse(raw)))

    assert json.loads(apply(Request.parse(raw), edits)) == edited(value, edits)


@given(st.binary())
def test_junk_raises_request_errors_and_nothing_else(body: bytes):
    with contextlib.suppress(RequestError):
        assert isinstance(json.loads(Request.parse(body).body), dict)
