"""A loop as a code on a row, there and back."""

from __future__ import annotations

from farthing.core.loop_evidence import LoopSighting, dump_sighting, parse_sighting
from farthing.core.loop_values import LoopCall, LoopFinding


def finding(*tools: str) -> LoopFinding:
    calls = tuple(
        LoopCall(
            tool=tool, address="messages.1.content.0", result_bytes=1, is_error=False, digest="d"
        )
        for tool in tools
    )
    return LoopFinding(
        kind="exact_cycle",
        repeats=6,
        cycle=("a", "b"),
        since=1,
        wasted_turns=10,
        wasted_tokens=4_321,
        percent=200,
        evidence=calls,
    )


def test_what_is_dumped_is_parsed():
    code = dump_sighting(finding("read", "run.tests"), "stop", 12_300_000_000)

    assert code.startswith("loop.stopped:exact_cycle ")
    assert parse_sighting(code) == LoopSighting(
        kind="exact_cycle",
        step="stop",
        repeats=6,
        cycle=2,
        wasted_turns=10,
        wasted_tokens=4_321,
        wasted_usd="0.0123",
        tools=("read", "run.tests"),
    )


def test_unknown_dollars_and_no_tools_stay_unknown():
    found = parse_sighting(dump_sighting(finding(), "alert", None))

    assert found is not None
    assert (found.step, found.wasted_usd, found.tools) == ("alert", None, ())


def test_names_that_no_tool_can_have_do_not_rest():
    code = dump_sighting(finding("a b", "ok", "x" * 200, "b", "c", "d", "e"), "note", 0)

    assert code.endswith("tools=ok,b,c,d")


def test_other_codes_are_none():
    assert parse_sighting("loop.refused") is None
    assert parse_sighting("loop.told:exact_cycle") is None
