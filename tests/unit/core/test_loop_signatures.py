"""What changes by itself is taken out, and nothing else."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.core.loop_signatures import (
    CallView,
    is_near,
    is_same_result,
    normalise,
    read_call,
    simhash,
)
from farthing.wire.blocks import Block
from tests.unit.core.loop_histories import History, long_text


def view(tool: str, result: str, *, key: bytes = b"", **arguments: Any) -> CallView:
    messages = History().call(tool, result, **arguments).request().messages
    use, back = messages[1].blocks[0], messages[2].blocks[0]
    return read_call(use, back, poll_tools=frozenset({"get_build"}), key=key)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at 2026-11-21T10:00:00Z ok", "at 2026-11-22T11:30:07.123+01:00 ok"),
        ("10:00:00 ok", "11:30:07.5 ok"),
        ("took 1.53s", "took 12.9s"),
        ("in 4.2 seconds.", "in 17 seconds."),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-e89b-12d3-a456-426614174fff"),
        ("pid=17 up", "pid=4242 up"),
        ("pid 17 up", "pid 4242 up"),
        ("attempt #3 of 9", "attempt #4 of 9"),
        ("at 0x7ffde0", "at 0x7ffaa1"),
        ("commit 9fceb02d0ae5", "commit 1a2b3c4d5e6f"),
        ("req_011CWv5uE2b3 failed", "req_9999Wv5uE2b3 failed"),
        ("now 1763719200", "now 1763719999"),
        ("a  b\nc", "a b c"),
    ],
)
def test_what_changes_by_itself_is_taken_out(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 failed", "11 failed"),
        ("page 3 of rows", "page 4 of rows"),
        ("progress 30%", "progress 40%"),
        ("line 7: x", "line 8: x"),
        ("deadline", "dead line"),
        ("price 1234567", "price 1234568"),
    ],
)
def test_what_may_be_progress_stays(one, other):
    assert normalise(one) != normalise(other)


@given(st.text(max_size=80))
def test_white_space_is_one_space(text):
    assert normalise(text) == normalise(" \n".join(text.split()))
    assert "  " not in normalise(text)


def test_the_order_of_keys_and_the_instant_asked_for_are_no_difference():
    one = view("f", "", a=1, since="2026-11-21T10:00:00Z", b=[1, 2])
    other = view("f", "", b=[1, 2], since="2026-11-21T10:05:00Z", a=1)

    assert one.arguments_key == other.arguments_key
    assert view("g", "", a=1).arguments_key != view("f", "", a=1).arguments_key
    assert view("f", "", a=2).arguments_key != view("f", "", a=1).arguments_key


def test_digests_are_keyed():
    assert view("f", "x", key=b"k", a=1).arguments_key != view("f", "x", a=1).arguments_key
    assert view("f", "x", key=b"k").result_key != view("f", "x").result_key


@pytest.mark.parametrize(
    ("arguments", "is_long"),
    [(b'{"b":2, "a":1e999}', False), (b'{"b":2, "a":"%b"}' % (b"x" * 5000), True)],
)
def test_arguments_that_are_long_or_unreadable_are_compared_as_they_are_spelled(arguments, is_long):
    def read(spelled: bytes) -> CallView:
        raw = b'{"type":"tool_use","id":"1","name":"f","input":%b}' % spelled
        use = Block("messages.1.content.0", "messages", "assistant", raw)
        return read_call(use, None, poll_tools=frozenset(), key=b"")

    one = read(arguments)

    assert one.arguments_key == read(arguments).arguments_key
    assert one.arguments_key != read(arguments.replace(b", ", b",")).arguments_key
    assert one.changes is is_long


def test_results_are_the_same_but_for_what_changes_by_itself():
    text = long_text("w") * 3
    one = view("f", "2026-11-21T10:00:00Z " + text)

    assert is_same_result(one, view("f", "2026-11-21T10:00:01Z " + text))
    assert is_same_result(one, one)
    assert not is_same_result(one, view("f", "2026-11-21T10:00:00Z " + text + " (more)"))
    assert not is_same_result(one, view("f", "2026-11-21T10:00:00Z " + text + text))
    assert not is_same_result(one, view("f", "2026-11-21T10:00:00Z " + long_text("v") * 3))
    assert not is_same_result(one, view("f", one.content.decode()[1:-1].replace("wz", "wy")))


def test_near_is_the_same_tool_with_a_word_or_two_less():
    words = [f"word{number}x" for number in range(300)]
    one = view("f", " ".join(words))
    other = view("f", " ".join([*words[:150], "new", *words[151:]]))

    assert is_near(one, other)
    assert not is_near(one, view("g", " ".join(words)))
    assert not is_near(one, view("f", " ".join(reversed(words))))
    assert not is_near(one, view("f", " ".join(words[:150])))
    assert not is_near(one, view("f", "\n\n\n" + " ".join(words)))
    assert not is_near(view("f", "ok"), view("f", "ok"))


def test_near_is_decided_by_the_words_where_the_samples_agree():
    frame = "=" * 40
    one = view("f", "".join(f"{frame} a{number}x " for number in range(40)))
    other = view("f", "".join(f"{frame} b{number}y " for number in range(40)))

    assert not is_near(one, other)


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=30))
def test_the_simhash_is_the_majority_of_the_words_digests(words):
    text = " ".join(words)
    digests = [
        int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
        for word in (set(words) or {text})
    ]
    expected = sum(
        1 << bit
        for bit in range(64)
        if sum(digest >> bit & 1 for digest in digests) > len(digests) // 2
    )

    assert simhash(text) == expected


@pytest.mark.parametrize(
    ("tool", "arguments", "waits", "changes"),
    [
        ("Bash", {"command": "sleep 30"}, True, False),
        ("Bash", {"command": "gh run watch 4"}, True, False),
        ("Bash", {"command": "ls src"}, False, False),
        ("Bash", {"command": "rm x"}, False, True),
        ("Bash", {"command": "x" * 2000}, False, True),
        ("wait_for_job", {}, True, False),
        ("get_build", {}, True, False),
        ("Read", {"file_path": "sleep 3"}, False, False),
        ("Edit", {"file_path": "a"}, False, True),
    ],
)
def test_waiting_and_changing_are_told_by_name_or_command(tool, arguments, waits, changes):
    call = view(tool, "", **arguments)

    assert (call.waits, call.changes) == (waits, changes)


@pytest.mark.parametrize(
    ("text", "fails", "passes"),
    [("503 Service Unavailable", True, True), ("no such file", True, False), ("503", False, False)],
)
def test_only_errors_pass_by_themselves(text, fails, passes):
    messages = History().call("f", text, fails=fails).request().messages
    call = read_call(messages[1].blocks[0], messages[2].blocks[0], poll_tools=frozenset(), key=b"")

    assert call.is_transient is passes
