"""Habits that cost: what is one, and what only looks like one."""

from __future__ import annotations

import pytest

from farthing.pricing import catalog
from farthing.traces.audit.counted import PriceList, count_calls
from farthing.traces.audit.habits import is_unattended, pauses, repeated_reads, serial_turns
from farthing.traces.audit.lifetime import lives
from farthing.traces.audit.pieces import cut
from tests.unit.traces.recorded import START, call, conversation, text, tool_result, tool_use, usage


def turned(*steps, question="look around"):
    """A conversation of (tool uses, results) steps and a last word."""
    messages, calls = [("user", question)], []
    for turn, (uses, results) in enumerate(steps):
        calls.append(call(len(messages), usage(uncached=10_000 + turn * 1_000), at=turn * 10.0))
        messages += [("assistant", uses), ("user", results)]
    calls.append(call(len(messages), usage(uncached=20_000), at=len(steps) * 10.0))
    messages.append(("assistant", [text("done")]))
    return conversation(calls, messages)


def look(number, name="Read", answer="nothing special", **arguments):
    given = arguments or {"file_path": f"/w/source{number}.py"}
    return [tool_use(f"t{number}", name, **given)], [tool_result(f"t{number}", answer)]


def serial(one):
    calls = count_calls(one, PriceList(catalog()), None)
    return [found.tool for found in serial_turns(one, cut(one), calls)]


def repeats(one):
    calls = count_calls(one, PriceList(catalog()), None)
    return [name for name, _ in repeated_reads(lives(cut(one), calls))]


def test_two_looks_in_a_row_could_have_been_one_turn():
    assert serial(turned(look(1), look(2))) == ["Read"]


def test_three_looks_in_a_row_waste_two_turns():
    assert serial(turned(look(1), look(2), look(3))) == ["Read", "Read"]


def test_a_look_at_what_the_one_before_found_is_not_independent():
    assert serial(turned(look(1, answer="see source2.py"), look(2))) == []


def test_what_was_named_at_the_start_was_known_all_along():
    steps = look(1, answer="see source2.py"), look(2)

    assert serial(turned(*steps, question="compare source1.py and source2.py")) == ["Read"]


def test_a_turn_with_two_calls_already_is_parallel():
    both = [*look(1)[0], *look(2)[0]], [*look(1)[1], *look(2)[1]]

    assert serial(turned(both, look(3))) == []


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("ls -la", 1),
        ("cd /w && git status", 1),
        ("git commit -m x", 0),
        ("sed -i s/a/b/ f", 0),
        ("cat a > b", 0),
        ("rm -r x", 0),
        ("", 0),
    ],
)
def test_a_shell_command_is_a_look_only_if_it_changes_nothing(command, count):
    assert len(serial(turned(look(1), look(2, "Bash", command=command)))) == count


@pytest.mark.parametrize("name", ["Edit", "Write", "Task", "mcp__x__send"])
def test_a_tool_that_acts_is_no_look(name):
    assert serial(turned(look(1), look(2, name))) == []


def test_an_unchanged_file_read_again_is_a_repeat():
    same = {"file_path": "/w/a.py"}
    one = turned(look(1, answer="v1", **same), look(2, answer="v1", **same))

    assert repeats(one) == ["Read /w/a.py"]


def test_a_changed_file_read_again_is_none():
    same = {"file_path": "/w/a.py"}

    assert repeats(turned(look(1, answer="v1", **same), look(2, answer="v2", **same))) == []


def test_another_part_of_the_same_file_is_none():
    first = look(1, answer="x", file_path="/w/a.py", offset=0)
    second = look(2, answer="x", file_path="/w/a.py", offset=100)

    assert repeats(turned(first, second)) == []


def test_pauses_are_counted_from_request_start_to_request_start():
    calls = count_calls(turned(look(1), look(2)), PriceList(catalog()), None)

    assert list(pauses(calls, None)) == [(10.0, 1), (10.0, 2)]
    assert next(iter(pauses(calls, START.timestamp() - 4_000)))[0] == pytest.approx(4_000)


def single(**more):
    return conversation(
        [call(1, usage(uncached=5), **more)], [("user", "classify"), ("assistant", "A")]
    )


def test_a_lone_call_of_a_program_could_be_a_batch_row():
    assert is_unattended(single())
    assert is_unattended(single(streamed=False))


def test_a_stream_a_tool_or_a_person_means_that_somebody_waits():
    person = single()
    tools = conversation([call(1)], [("user", "x"), ("assistant", [tool_use("t", "Read")])])

    assert not is_unattended(single(streamed=True))
    assert not is_unattended(single(stop_reason="tool_use"))
    assert not is_unattended(tools)
    assert not is_unattended(turned(look(1)))
    assert not is_unattended(conversation(person.calls, interactive=True))
