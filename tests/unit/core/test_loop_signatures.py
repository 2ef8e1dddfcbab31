"""Signatures: which calls are the same, which nearly, which wait and which change something."""

from __future__ import annotations

import json
from typing import Any

import pytest

from farthing.core.loop_guard import LoopGuard
from farthing.core.loop_signatures import (
    CallView,
    is_near,
    is_same_result,
    read_call,
)
from farthing.wire.blocks import Block
from tests.unit.core.loop_histories import History, long_text


def view(tool: str, result: str, *, key: bytes = b"", **arguments: Any) -> CallView:
    messages = History().call(tool, result, **arguments).request().messages
    use, back = messages[1].blocks[0], messages[2].blocks[0]
    return read_call(use, back, poll_tools=frozenset({"get_build"}), key=key)


def test_the_order_of_keys_is_no_difference():
    one, other = view("f", "", a=1, b=[1, 2]), view("f", "", b=[1, 2], a=1)

    assert one.arguments_key == other.arguments_key
    assert view("g", "", a=1).arguments_key != view("f", "", a=1).arguments_key
    assert view("f", "", a=2).arguments_key != view("f", "", a=1).arguments_key


def test_what_a_command_is_called_is_no_difference():
    one = view("Bash", "", command="make", description="Build it")

    assert (
        one.arguments_key == view("Bash", "", command="make", description="Try again").arguments_key
    )
    assert (
        one.arguments_key
        != view("Bash", "", command="make x", description="Build it").arguments_key
    )
    assert (
        view("ask", "", description="a").arguments_key
        != view("ask", "", description="b").arguments_key
    )


def record(number: int) -> str:
    return f"7b0c4f5e-{number:04x}-4d7a-9a53-0d1f6a7e{number:04x}"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (lambda number: {"since": f"2026-11-21T{number:02d}:00:00Z"}, "No slots available"),
        (lambda number: {"command": f"logcli --from=2026-11-21T{number:02d}:00:00Z"}, ""),
        (lambda number: {"id": record(number), "state": "closed"}, '{"ok": true, "id": "%s"}'),
        (lambda number: {"id": record(number)}, f'{{"id": "%s", "body": "{long_text("empty")}"}}'),
    ],
    ids=["free slots", "hours of a log", "tickets to close", "tickets that look alike"],
)
def test_another_hour_and_another_record_are_other_questions(asked, answer):
    history = History()
    for number in range(20):
        arguments = asked(number)
        history.call("tickets", answer.replace("%s", arguments.get("id", "")), **arguments)

    assert LoopGuard().check(history.request().messages).finding is None


@pytest.mark.parametrize("shift", range(5))
def test_a_walk_along_records_that_look_alike_is_told_and_never_stopped(shift):
    fields = {f"field_{each}": None for each in range(60)}
    history = History()

    def inspect(name: str) -> None:
        history.call("inspect", json.dumps({"id": name, **fields}), name=name)

    for number in range(30):
        inspect(f"host{number + shift}")
    decision = LoopGuard().check(history.request().messages)
    assert decision.finding is not None
    assert decision.finding.is_vague
    assert decision.action == "escalate"

    # the same question again, that is no walk
    inspect(f"host{29 + shift}")
    assert LoopGuard().check(history.request().messages).action == "stop"


def test_digests_are_keyed():
    assert view("f", "x", key=b"k", a=1).arguments_key != view("f", "x", a=1).arguments_key
    assert view("f", "x", key=b"k").fingerprint != view("f", "x").fingerprint
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


def test_results_that_were_normalised_are_compared_by_that():
    text = long_text("w") * 3
    calls = [view("f", f"2026-11-21T10:00:0{second}Z {text}") for second in range(3)]
    late = view("f", f"2026-11-21T10:00:00Z {text[:-3]}zz.")

    assert is_same_result(calls[0], calls[1])
    assert is_same_result(calls[1], calls[2])
    assert not is_same_result(calls[0], late)
    assert not is_same_result(late, calls[1])
    assert [call.is_normalised for call in (*calls, late)] == [True] * 4
    assert not is_same_result(calls[0], view("f", f"2026-11-21T10:00:00Z x{text[1:]}"))


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


@pytest.mark.parametrize(
    ("tool", "arguments", "waits", "changes"),
    [
        ("Bash", {"command": "sleep 30"}, True, False),
        ("Bash", {"command": "gh run watch 4"}, True, False),
        ("Bash", {"command": "ls src"}, False, False),
        ("Bash", {"command": "git log | tail -3"}, False, False),
        ("Bash", {"command": "tail -f log"}, True, False),
        ("Bash", {"command": "ruff check --fix"}, False, True),
        ("Bash", {"command": "echo x > y"}, False, True),
        ("Bash", {"command": "ls 2>&1"}, False, False),
        ("wait_for", {"command": "sleep 4"}, True, False),
        ("wait" + "x" * 300, {}, True, False),
        ("update_page", {"command": "ls"}, False, True),
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
