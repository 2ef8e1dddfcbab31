"""Detectors: what looks volatile, what does not, and what kind a difference is."""

from __future__ import annotations

import pytest

from farthing.core.volatile import classify, detect

UUID = b"0b5f9a3e-1c2d-4e5f-8a9b-0c1d2e3f4a5b"


@pytest.mark.parametrize(
    ("line", "detector", "value"),
    [
        (b"Now: 2026-11-21T12:30:00.123Z.", "timestamp", b"2026-11-21T12:30:00.123Z"),
        (b"It is 12:30 PM", "timestamp", b"12:30 PM"),
        (b"ts=1763728200123", "timestamp", b"1763728200123"),
        (b"Today's date is 2026-11-21", "date", b"2026-11-21"),
        (b"Today is November 21, 2026", "date", b"November 21, 2026"),
        (b"Today is 21 Nov 2026", "date", b"21 Nov 2026"),
        (b"on 11/21/2026 we", "date", b"11/21/2026"),
        (b"request " + UUID, "uuid", UUID),
        (b"User name: Ada Lovelace, admin", "user_field", b"Ada Lovelace"),
        (b"user is ada", "user_field", b"ada"),
        (b"Write to ada@example.org today", "user_field", b"ada@example.org"),
        (b"session_id=abc", "user_field", b"abc"),
        (b"build 3f2504e04f8911d39a0c", "hex_id", b"3f2504e04f8911d39a0c"),
        (b"This is turn 17 of many", "counter", b"17"),
        (b"remaining: 250", "counter", b"250"),
    ],
)
def test_a_volatile_value_is_named_and_found(line, detector, value):
    (found,) = [one for one in detect(line) if line[one.start : one.end] == value]
    assert found.detector == detector


@pytest.mark.parametrize(
    "line",
    [
        b"You are a careful assistant.",
        b"Use at most 3 tools and answer in 200 words.",
        b"The user may ask anything.",
        b"See section 12.30 and RFC 8259.",
        b"deadbeefcafe",
        b"",
    ],
)
def test_stable_prose_is_left_alone(line):
    assert detect(line) == ()


def test_a_byte_belongs_to_the_surest_detector_only():
    found = detect(b"2026-11-21 12:30:00 and " + UUID)
    assert [one.detector for one in found] == ["timestamp", "uuid"]


def spanned(before: bytes, now: bytes, changed: bytes) -> str:
    start = now.index(changed)
    return classify(before, now, (start, start + len(changed)))


def test_a_difference_is_named_by_what_both_sides_look_like():
    assert spanned(b"at 12:30:05 sharp", b"at 12:30:47 sharp", b"47") == "timestamp"
    assert spanned(b"id " + UUID, b"id " + UUID[:-1] + b"c", b"c") == "uuid"
    assert spanned(b"user: Ada.", b"user: Grace.", b"Grace") == "user_field"


def test_a_number_that_changes_beside_nothing_known_is_a_counter():
    assert spanned(b"left over 41 x", b"left over 42 x", b"2") == "counter"
    assert spanned(b"a 9 b", b"a 10 b", b"10") == "counter"


def test_an_edit_is_something_else():
    assert spanned(b"Be brief.", b"Be kind.", b"kind") == "other"
    assert spanned(b"at noon", b"at 12:30", b"12:30") == "other"
