"""The cache engine: marks, lifetimes, epochs, pins, what answers teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from farthing.core.cache_engine import CacheEngine
from farthing.core.cache_values import CacheChoice, CachePin
from farthing.core.prefix import Mark, Ttl
from farthing.core.ttl_experts import Multipliers, Step
from farthing.core.ttl_tables import Advice, TtlTables
from farthing.wire.usage import Usage
from tests.unit.core.cache_prompts import RATES, after, ask_for, prompt

HEAD = ["tool", "tool end", "system"]


def _turn(
    engine: CacheEngine, blocks: Sequence[str], seconds: float, marks: Sequence[Mark] = ()
) -> CacheChoice:
    view = prompt([*HEAD, *blocks], heads=(2, 3), marks=marks)
    return engine.choose(ask_for(view), after(seconds))


def _shown(choice: CacheChoice) -> list[tuple[int, str, str]]:
    return [(mark.index, mark.ttl, mark.why) for mark in choice.marks]


def _seed(gap: float, count: int = 200, **held: float) -> TtlTables:
    """Experience of another process: lineages and heads that come back after such gaps."""
    advice = Advice()
    step = Step(gap_seconds=gap, shared=100, total=105, topped=100, tops_up=True)
    for _ in range(count):
        names = ("main", "main/first", "main/head 0", "main/head 1")
        advice.record(names, step, Multipliers.of(RATES))
    advice.own.upgrades_held = held.get("held", 0.0)
    advice.own.upgrades_failed = held.get("failed", 0.0)
    return advice.own


def test_without_marks_of_the_client_heads_and_both_tails_are_marked() -> None:
    engine = CacheEngine()
    first = _turn(engine, ["question"], 0)
    second = _turn(engine, ["question", "answer", "more"], 60)
    assert _shown(first) == [(1, "5m", "tools"), (2, "5m", "system"), (3, "5m", "tail")]
    assert [(mark.index, mark.why) for mark in second.marks] == [
        (1, "tools"),
        (2, "system"),
        (3, "previous_tail"),
        (5, "tail"),
    ]
    assert (first.is_epoch, second.is_epoch) == (True, False)
    assert first.pin == second.pin == CachePin(head="5m", tail="5m")
    assert second.expected_saving > 0


def test_marks_of_the_client_stay_and_keep_its_lifetime_while_nothing_is_known() -> None:
    marks = [Mark(index=2, ttl="1h"), Mark(index=3, ttl="1h")]
    choice = _turn(CacheEngine(), ["question"], 0, marks)
    assert [shown for shown in _shown(choice) if shown[2] == "client"] == [
        (2, "1h", "client"),
        (3, "1h", "client"),
    ]


def test_a_pinned_lifetime_holds_until_the_next_epoch() -> None:
    engine = CacheEngine(_seed(1_200, failed=1e6))
    blocks = ["question"]
    first = _turn(engine, blocks, 0)
    assert first.pin.tail == "1h"
    for turn in range(1, 60):  # short gaps teach five minutes
        blocks = [*blocks, f"turn {turn}"]
        choice = _turn(engine, blocks, turn * 10)
        assert (choice.pin.tail, choice.is_epoch) == ("1h", False)
        assert {mark.ttl for mark in choice.marks} == {"1h"}


def test_an_expired_lineage_opens_an_epoch() -> None:
    engine = CacheEngine()
    _turn(engine, ["question"], 0)
    warm = _turn(engine, ["question", "answer"], 299)
    cold = _turn(engine, ["question", "answer", "more"], 299 + 300)
    assert (warm.is_epoch, cold.is_epoch) == (False, True)


def test_a_rewritten_history_opens_an_epoch() -> None:
    engine = CacheEngine()
    _turn(engine, ["a", "b", "c", "d", "e", "f"], 0)
    assert _turn(engine, ["summary", "x", "y", "z"], 10).is_epoch


def test_a_pin_on_record_holds_for_a_process_that_has_not_seen_the_lineage() -> None:
    engine = CacheEngine()
    view = prompt(["question", "answer"])
    choice = engine.choose(ask_for(view, pin=CachePin(head=None, tail="1h")), after(0))
    later = engine.choose(ask_for(prompt(["question", "answer", "more"])), after(600))
    assert (choice.pin.tail, choice.is_epoch) == ("1h", False)
    assert (later.pin.tail, later.is_epoch) == ("1h", False)
    assert engine.learned().by_class["main"].gaps == 1


def test_small_turns_top_up_where_pauses_are_likely() -> None:
    engine = CacheEngine(_seed(1_200, held=20))
    view = prompt([*HEAD, "question"], heads=(2, 3), tokens=[9_000, 9_000, 9_000, 9_000])
    more = prompt(
        [*HEAD, "question", "answer"], heads=(2, 3), tokens=[9_000, 9_000, 9_000, 9_000, 100]
    )
    first = engine.choose(ask_for(view), after(0))
    second = engine.choose(ask_for(more), after(60))
    assert (first.pin.tail, first.tops_up) == ("5m", False)
    assert (second.pin.tail, second.tops_up) == ("5m", True)
    assert {mark.ttl for mark in second.marks} == {"1h"}
    assert not engine.choose(ask_for(more), after(70)).tops_up  # nothing is added


@pytest.mark.parametrize(("last_mark", "tops_up"), [(4, True), (3, False)])
def test_what_the_last_request_left_unwritten_is_not_cheap_to_top_up(
    last_mark: int, *, tops_up: bool
) -> None:
    engine = CacheEngine()
    tokens = [9_000, 9_000, 9_000, 9_000, 30_000]
    view = prompt([*HEAD, "question", "notes"], heads=(2, 3), tokens=tokens)
    more = prompt([*HEAD, "question", "notes", "more"], heads=(2, 3), tokens=[*tokens, 100])
    engine.choose(ask_for(view), after(0))
    engine.sent(replace(view, marks=(Mark(index=last_mark),)))
    assert engine.choose(ask_for(more), after(60)).tops_up is tops_up


def test_marks_of_an_unknown_lineage_change_nothing() -> None:
    engine = CacheEngine()
    engine.sent(prompt([*HEAD, "question"], heads=(2, 3)))
    assert len(engine) == 0


def test_answers_after_a_pause_show_whether_top_ups_hold() -> None:
    for read, held, failed in ((36_000, 1, 0), (0, 0, 1)):
        engine = CacheEngine(_seed(1_200, held=20))
        sizes = [9_000, 9_000, 9_000, 9_000, 100, 100]
        for number, seconds in ((4, 0), (5, 60), (6, 1_260)):
            names = [*HEAD, "question", "answer", "more"][:number]
            view = prompt(names, heads=(2, 3), tokens=sizes[:number])
            engine.choose(ask_for(view), after(seconds))
            engine.observed(view, usage=Usage(cache_read=read), stop_reason="end_turn")
            engine.observed(view, usage=Usage(cache_read=read))  # told twice, counted once
        learned = engine.learned()
        assert (learned.upgrades_held, learned.upgrades_failed) == (held, failed)


@pytest.mark.parametrize(("pause", "is_epoch"), [(3_599, False), (3_600, True)])
def test_a_top_up_lasts_an_hour(pause: int, *, is_epoch: bool) -> None:
    engine = CacheEngine(_seed(1_200, held=20))
    names, sizes = [*HEAD, "question", "answer", "more"], [9_000, 9_000, 9_000, 9_000, 100, 100]
    for number, seconds in ((4, 0), (5, 60)):
        view = prompt(names[:number], heads=(2, 3), tokens=sizes[:number])
        engine.choose(ask_for(view), after(seconds))
    view = prompt(names, heads=(2, 3), tokens=sizes)
    assert engine.choose(ask_for(view), after(60 + pause)).is_epoch is is_epoch


def test_memory_of_heads_is_bounded() -> None:
    engine = CacheEngine(lineages=2)
    for number in (0, 1, 2, 0):
        view = prompt([f"system {number}", "question"], heads=(0, 1), lineage="one")
        engine.choose(ask_for(view), after(number))
    assert len(engine.heads) == 2


def test_an_answer_to_an_unknown_lineage_teaches_nothing() -> None:
    engine = CacheEngine()
    engine.observed(prompt("a"), usage=Usage(cache_read=1))
    assert engine.learned().by_class == {}


def test_one_shots_are_written_at_their_second_sighting() -> None:
    engine = CacheEngine()
    for number in range(40):
        view = prompt([f"system {number}", "question"], heads=(0, 1), lineage=f"task {number}")
        engine.choose(ask_for(view), after(600 * number))
    view = prompt(["another", "question"], heads=(0, 1), lineage="another")
    first = engine.choose(ask_for(view), after(600 * 40))
    again = engine.choose(ask_for(view), after(600 * 40 + 10))
    assert (first.marks, first.pin) == ((), CachePin(head=None, tail=None))
    assert [mark.why for mark in again.marks] == ["system", "tail"]


def test_a_client_that_marks_a_one_shot_is_respected() -> None:
    engine = CacheEngine()
    marks = [Mark(index=0, ttl="5m"), Mark(index=1, ttl="5m")]
    for number in range(40):
        view = prompt([f"s {number}", "q"], heads=(0, 1), lineage=f"{number}", marks=marks)
        assert len(engine.choose(ask_for(view), after(600 * number)).marks) == 2


def test_a_turn_of_twenty_blocks_marks_the_last_tail_again() -> None:
    engine = CacheEngine()
    _turn(engine, ["question"], 0)
    many = [f"result {number}" for number in range(20)]
    choice = _turn(engine, ["question", *many], 10, [Mark(index=1), Mark(index=2)])
    assert (3, "previous_tail") in [(mark.index, mark.why) for mark in choice.marks]
    assert choice.unreached_block is None


def test_an_entry_that_no_free_mark_can_reach_is_reported() -> None:
    engine = CacheEngine()
    _turn(engine, ["question"], 0)
    many = [f"result {number}" for number in range(25)]
    client = [Mark(index=at) for at in (0, 1, 26, 27)]
    assert _turn(engine, ["question", *many], 10, client).unreached_block == 3


def test_a_shared_document_gets_a_branch_point_at_its_second_sighting() -> None:
    engine = CacheEngine()
    first = prompt(["document", "question one"], lineage="one", tokens=[20_000, 100])
    second = prompt(["document", "question two"], lineage="two", tokens=[20_000, 100])
    engine.choose(ask_for(first), after(0))
    choice = engine.choose(ask_for(second), after(10))
    assert _shown(choice) == [(0, "5m", "branch"), (1, "5m", "tail")]


def test_blocks_that_cannot_carry_a_mark_get_none() -> None:
    view = prompt([*HEAD, "question", "thinking"], heads=(2, 3))
    choice = CacheEngine().choose(ask_for(view, unmarkable=[4, 1]), after(0))
    assert [mark.index for mark in choice.marks] == [0, 2, 3]


def test_padding_is_told_where_a_shared_head_is_a_little_short() -> None:
    engine = CacheEngine()
    choices = []
    for number in range(8):
        view = prompt(
            ["system", f"question {number}"],
            heads=(0, 1),
            tokens=[900, 5_000],
            minimum=1_024,
            lineage=f"task {number}",
        )
        choices.append(engine.choose(ask_for(view), after(number)))
    assert (choices[0].padding_tokens, choices[-1].padding_tokens) == (0, 124)
    assert "system" not in [mark.why for mark in choices[-1].marks]


@pytest.mark.parametrize("head", [50, 900, 1_024])
def test_padding_is_not_told_where_it_cannot_pay(head: int) -> None:
    view = prompt(["system", "q"], heads=(0, 1), tokens=[head, 5_000], minimum=1_024)
    assert CacheEngine().choose(ask_for(view), after(0)).padding_tokens == 0


def test_who_does_not_know_the_lineage_is_recognised_by_the_first_message() -> None:
    engine = CacheEngine()
    engine.choose(ask_for(prompt("ab", lineage="")), after(0))
    choice = engine.choose(ask_for(prompt("abc", lineage="")), after(10))
    assert not choice.is_epoch
    assert len(engine) == 1


def test_an_empty_request_gets_no_marks() -> None:
    choice = CacheEngine().choose(ask_for(prompt("", lineage="")), after(0))
    assert (choice.marks, choice.expected_saving) == ((), 0.0)


def test_memory_is_bounded() -> None:
    engine = CacheEngine(lineages=10, blocks=100)
    for number in range(200):
        view = prompt(
            [f"s{number}", *"abcdef"], heads=(0, 1), lineage=f"{number}", scope=f"{number % 3}"
        )
        engine.choose(ask_for(view), after(number))
    assert len(engine) == 10
    assert engine.known_blocks <= 100
    assert len(engine.learned().by_class) < 10


@pytest.mark.parametrize(("ttl", "tops_up"), [("5m", False), ("1h", True)])
def test_who_asked_for_an_hour_is_topped_up_at_half_the_odds(ttl: Ttl, *, tops_up: bool) -> None:
    # 0.75 × 2,000 added lies between p × 1.15 × 38,000 and twice that, for p near one in forty
    learned = _seed(7_200, held=1e6)
    del learned.by_class["main"]  # nothing is known of pauses
    engine = CacheEngine(learned)
    sizes = [9_000, 9_000, 9_000, 9_000, 2_000]
    marks = [Mark(index=3, ttl=ttl)]
    names = [*HEAD, "question", "answer"]
    engine.choose(ask_for(prompt(names[:4], heads=(2, 3), tokens=sizes[:4], marks=marks)), after(0))
    view = prompt(names, heads=(2, 3), tokens=sizes, marks=marks)
    choice = engine.choose(ask_for(view), after(60))
    assert (choice.pin.tail, choice.tops_up) == ("5m", tops_up)
