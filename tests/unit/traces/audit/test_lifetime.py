"""What pieces cost over their life: the parts make the whole, whatever the recording."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.pricing import catalog
from farthing.traces.audit.counted import PriceList, count_calls
from farthing.traces.audit.lifetime import lives
from farthing.traces.audit.pieces import cut
from tests.unit.traces.recorded import call, conversation, text, tool_result, tool_use, usage


def examined(one):
    calls = count_calls(one, PriceList(catalog()), None)
    return lives(cut(one), calls), calls


def reading(turns=3, *, pad=20_000):
    messages: list[tuple[str, Any]] = [("user", "go")]
    calls, prompt = [], pad + 10
    for turn in range(turns):
        read = prompt if turn else 0
        calls.append(
            call(len(messages), usage(write=1_000 if turn else prompt, read=read), at=turn)
        )
        messages.append(("assistant", [tool_use(f"t{turn}", "Read", file_path=f"/f{turn}")]))
        messages.append(("user", [tool_result(f"t{turn}", "x" * 3_000)]))
        prompt += 1_000 if turn else 0
    return conversation(calls, messages, prefix_pad_tokens=pad, tools_inferred=True)


def by_name(found):
    return {life.piece.name: life for life in found}


def test_what_the_first_prompt_hides_is_its_prefix():
    found, _ = examined(reading())

    prefix = found[0]
    assert prefix.piece.kind == "hidden prefix"
    assert prefix.piece.tokens == pytest.approx(20_010, abs=3)


def test_growth_belongs_to_what_came_in_between():
    found, _ = examined(reading())

    second = [life.piece.tokens for life in found if life.piece.entered == 1]
    assert sum(second) == pytest.approx(1_000)


def test_a_piece_is_carried_by_every_later_call():
    found = by_name(examined(reading(turns=4))[0])

    assert found["Read /f0"].calls == 3
    assert found["Read /f2"].calls == 1


def test_a_piece_is_written_once_and_then_read():
    # 1,000 tokens come in: written once at 6.25, then read twice at 0.50 $/Mtok (opus 4.8)
    found, _ = examined(reading(turns=4))

    cost = sum(life.estimated_pico for life in found if life.piece.entered == 1)
    assert cost == pytest.approx(1_000 * (6_250_000 + 2 * 500_000), rel=0.01)


def test_a_replayed_call_costs_nothing_here():
    one = reading(turns=2)
    one.calls[1] = call(3, usage(write=1_000, read=20_010), at=1, replayed=True)

    found, _ = examined(one)

    assert by_name(found)["Read /f0"].calls == 0


counts = st.builds(
    usage,
    uncached=st.integers(0, 5_000),
    write=st.integers(0, 50_000),
    read=st.integers(0, 200_000),
    output=st.integers(0, 900),
)
turns = st.lists(st.tuples(counts, st.booleans(), st.text(max_size=30)), min_size=1, max_size=6)


@given(turns, st.integers(0, 50_000))
def test_the_parts_sum_to_what_was_counted_and_billed(made, pad):
    messages: list[tuple[str, Any]] = [("user", "go")]
    calls = []
    for index, (given_counts, replayed, words) in enumerate(made):
        calls.append(call(len(messages), given_counts, at=index, replayed=replayed))
        messages += [("assistant", [text(words)]), ("user", [text(words)])]
    one = conversation(calls, messages, prefix_pad_tokens=pad, tools_inferred=True)

    found, counted = examined(one)

    prompt = sum(item.prompt for item in counted if item.billed)
    cost = sum(item.cost.total - item.cost.output for item in counted if item.billed and item.cost)
    if sum(life.token_turns for life in found):
        assert sum(life.token_turns for life in found) == pytest.approx(prompt)
    if sum(life.estimated_pico for life in found):
        assert sum(life.estimated_pico for life in found) == pytest.approx(cost, rel=1e-6)
    assert all(life.estimated_pico >= 0 for life in found)
