"""Loops on rows, in words."""

from __future__ import annotations

from typing import get_args

import pytest

from farthing.core.loop_evidence import dump_sighting
from farthing.core.loop_values import Action, LoopCall, LoopFinding, LoopKind
from farthing.reports.explain_words import note_words
from farthing.reports.loop_words import loop_document, loop_words


def code(kind: LoopKind, step: Action = "stop", *, cycle: int = 1, turns: int = 5) -> str:
    call = LoopCall(
        tool="read", address="messages.1.content.0", result_bytes=1, is_error=False, digest="d"
    )
    finding = LoopFinding(
        kind=kind,
        repeats=6,
        cycle=("d",) * cycle,
        since=1,
        wasted_turns=turns,
        wasted_tokens=3_210,
        percent=200,
        evidence=(call,) if turns else (),
    )
    return dump_sighting(finding, step, 12_300_000_000 if turns else None)


def test_a_stopped_cycle_says_what_it_wasted():
    assert note_words(code("exact_cycle", cycle=2)) == (
        "the same 2 turns came back with the same results 6 times in a row; tools: read; "
        "5 turns in vain, about 3,210 tokens, $0.0123; stopped: it was not sent"
    )


def test_a_tree_has_no_turns_in_vain():
    assert loop_words(code("fan_out", "alert", turns=0)) == (
        "its tree has 6 tasks below the root; told"
    )


@pytest.mark.parametrize("kind", get_args(LoopKind))
def test_every_kind_has_words(kind):
    assert note_words(code(kind)) != code(kind)


@pytest.mark.parametrize("step", ["alert", "note", "escalate", "stop"])
def test_every_step_has_words(step):
    assert f"step={step}" not in note_words(code("errors", step))


def test_what_a_later_version_may_say_is_shown_as_it_is():
    later = code("exact_cycle").replace("exact_cycle", "spiral")
    assert note_words(later) == later


def test_the_document_is_of_the_last_sighting_and_of_nothing_else():
    found = loop_document(["loop.refused", code("errors", "alert"), code("exact_cycle")])

    assert found is not None
    assert (found["kind"], found["wasted_usd"], found["tools"]) == (
        "exact_cycle",
        "0.0123",
        ("read",),
    )
    assert loop_document(["loop.refused"]) is None
