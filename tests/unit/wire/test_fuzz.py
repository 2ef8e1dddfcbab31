"""Broken, mutated and odd bodies through parse, edits and apply.

Valid JSON comes out, untouched bytes stay, and nothing is raised that is not a ``RequestError``.
A tenth of a second here; 10^5 bodies under ``make check-full``.
"""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.errors import RequestError
from farthing.wire.apply import apply
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


def mutated(seed: int) -> bytes:
    """The seed body with a few bytes cut, doubled or exchanged."""
    chance = random.Random(seed)
    body = bytearray(SEED_BODY)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body) + 1)
        length = chance.choice([0, 1, 1, 2, 8, 40])
        body[at : at + length] = chance.choice(
            [b"", chance.choice(INTERESTING), body[at : at + 20]]
        )
    return bytes(body)


def exercise(body: bytes, after: Request) -> bool:
    """Everything that can be done to a body; True if it could be read."""
    request = Request.parse(body, after=after)
    fingerprint(request, TRAITS)
    edits: list[Edit] = [
        mark(block.address) for block in request.blocks if block.get("cache_control") is None
    ]
    edits += [SetTopLevel("farthing", b"1")]
    if request.message_spans:
        edits += [InsertMessage(0, b"{}")]
    after_edits = json.loads(apply(request, edits))
    assert after_edits["farthing"] == 1
    for block in request.blocks:
        single: list[Edit] = [RemoveBlock(block.address)]
        single += [ReplaceText(block.address, "é")] if block.text is not None else []
        single += (
            [RemoveField(block.address, "type")]
            if not block.is_string and block.get("type")
            else []
        )
        for edit in single:
            assert json.loads(apply(request, [edit])) != {}
    return True


def survive(seeds: range) -> int:
    known = Request.parse(SEED_BODY)
    assert known.blocks
    readable = 0
    for seed in seeds:
        body = mutated(seed)
        try:
            readable += exercise(body, known)
        except RequestError:
            continue
        json.loads(body)  # what we read, every JSON parser reads
    return readable


def test_mutated_bodies_raise_request_errors_and_nothing_else():
    assert survive(range(2_000)) > 20


@pytest.mark.long
def test_a_hundred_thousand_mutated_bodies_raise_request_errors_and_nothing_else():
    assert survive(range(100_000)) > 1_000


@pytest.mark.long
@settings(settings.get_profile("long"))
@given(st.data())
def test_a_hundred_thousand_edited_bodies_are_valid_and_hold_what_was_asked(data: st.DataObject):
    value = data.draw(bodies())
    raw = data.draw(spelled(value))
    edits = data.draw(edit_lists(Request.parse(raw)))

    assert json.loads(apply(Request.parse(raw), edits)) == edited(value, edits)


@given(st.binary())
def test_junk_raises_request_errors_and_nothing_else(body: bytes):
    with contextlib.suppress(RequestError):
        assert isinstance(json.loads(Request.parse(body).body), dict)
