"""The shadow baseline: exact without levers, adding up with them, never in our favour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farthing.core.levers import ABLATION_ORDER
from farthing.core.prefix import PrefixView
from farthing.core.prompt_cache import PromptCache
from farthing.core.shadow import AS_SENT_BY_CLIENT, Answered, Savings, Shadows, Stage
from farthing.errors import EngineBug
from farthing.pricing import price, require_card
from farthing.wire.usage import Iteration, Usage
from tests.unit.core.prompts import T0, at, numbered, prompt

CARD = require_card("claude-opus-5-5", on=T0.date())


def stages(view: PrefixView, seconds: float, **levers: PrefixView) -> list[Stage]:
    """The client's view, then one per lever; ``cache_marks=`` is ``cache.marks``."""
    given = {AS_SENT_BY_CLIENT: view} | {
        name.replace("_", ".", 1): each for name, each in levers.items()
    }
    return [Stage(lever=name, view=each, began_at=at(seconds)) for name, each in given.items()]


def answered(usage: Usage, seconds: float) -> Answered:
    return Answered(usage=usage, first_byte_at=at(seconds + 1), card=CARD, cost=price(usage, CARD))


class Provider:
    """The real one, for what is sent: here it follows the documented rules exactly."""

    def __init__(self) -> None:
        self.cache = PromptCache()
        self.shadows = Shadows()

    def call(self, seconds: float, shown: list[Stage], **changes: Any) -> Savings:
        begun = self.shadows.begin(shown)
        view = shown[-1].view
        forecast = self.cache.begin(view, shown[-1].began_at)
        self.cache.observe(
            view, forecast, began_at=shown[-1].began_at, first_byte_at=at(seconds + 1)
        )
        usage = msgspec.structs.replace(forecast.usage, output=100, **changes)
        return self.shadows.settle(begun, answered(usage, seconds))


def input_cost(usage: Usage) -> int:
    return price(msgspec.structs.replace(usage, output=0), CARD).total


def test_where_no_lever_acts_the_baseline_is_the_cost_to_the_last_unit():
    provider = Provider()
    for turn in range(5):
        saved = provider.call(turn * 400, stages(prompt(numbered(turn + 2), turn + 1), turn * 400))
        assert (saved.baseline_pico, saved.by_lever) == (saved.cost_pico, {})
        assert saved.saved_pico == saved.net_pico == 0


def test_a_client_that_marks_nothing_would_have_paid_plain_input():
    provider = Provider()
    total = 0
    for turn in range(3):
        bare = prompt(numbered(turn + 2))
        marked = replace(bare, marks=prompt(numbered(turn + 2), turn + 1).marks)
        saved = provider.call(turn * 10, stages(bare, turn * 10, cache_marks=marked))
        assert saved.baseline_usage == Usage(uncached=1_000 * (turn + 2), output=100)
        assert saved.by_lever == {"cache.marks": saved.saved_pico}
        total += saved.saved_pico
    assert total > 0


def test_a_longer_lifetime_costs_at_the_write_and_saves_at_the_late_read():
    provider = Provider()
    found = []
    for seconds in (0, 1_800):
        short, long = prompt("a b", 1), prompt("a b", (1, "1h"))
        found.append(provider.call(seconds, stages(short, seconds, cache_ttl=long)))
    assert found[0].saved_pico == input_cost(Usage(cache_write_5m=2_000)) - input_cost(
        Usage(cache_write_1h=2_000)
    )
    assert found[1].saved_pico == input_cost(Usage(cache_write_5m=2_000)) - input_cost(
        Usage(cache_read=2_000)
    )


def test_savings_of_several_levers_add_up_in_the_order_of_ablation():
    provider = Provider()
    found = []
    for seconds in (0, 1_800, 1_900):
        bare, short, long = prompt("a b"), prompt("a b", 1), prompt("a b", (1, "1h"))
        saved = provider.call(seconds, stages(bare, seconds, cache_marks=short, cache_ttl=long))
        assert list(saved.by_lever) == ["cache.marks", "cache.ttl"]
        assert sum(saved.by_lever.values()) == saved.saved_pico
        found.append(saved.by_lever)
    assert found[-1]["cache.marks"] == input_cost(Usage(uncached=2_000)) - input_cost(
        Usage(cache_read=2_000)
    )
    assert found[-1]["cache.ttl"] == 0


def test_a_call_that_was_made_to_wait_is_compared_with_the_one_that_was_not():
    """Two parallel first calls: without the wait both would have written."""
    provider = Provider()
    view = prompt("a b", 1)
    provider.call(0, stages(view, 0))
    second = [
        Stage(lever=AS_SENT_BY_CLIENT, view=view, began_at=at(0.5)),
        Stage(lever="cache.fanout", view=view, began_at=at(2)),
    ]
    saved = provider.call(2, second)
    assert saved.by_lever == {
        "cache.fanout": input_cost(Usage(cache_write_5m=2_000))
        - input_cost(Usage(cache_read=2_000))
    }


def test_own_costs_are_subtracted():
    shadows = Shadows()
    begun = shadows.begin(stages(prompt("a", 0), 0))
    saved = shadows.settle(begun, answered(Usage(cache_write_5m=1_000), 0), own_cost_pico=7)
    assert (saved.saved_pico, saved.net_pico) == (0, -7)


def test_a_lever_that_acts_late_starts_from_what_was_sent_before():
    provider = Provider()
    provider.call(0, stages(prompt("a b", 1), 0))
    saved = provider.call(10, stages(prompt("a b c", 2), 10, cache_ttl=prompt("a b c", 1, 2)))
    assert saved.baseline_usage.cache_read == 2_000
    assert saved.saved_pico == 0
    assert len(provider.shadows) == 2


def test_the_length_is_the_providers_and_the_estimate_only_divides_it():
    """Twice the estimated tokens, all of them measured: the baseline is twice as long too."""
    shadows = Shadows()
    bare, marked = prompt("a b c"), prompt("a b c", 1)
    begun = shadows.begin(stages(bare, 0, cache_marks=marked))
    usage = Usage(cache_write_5m=4_000, uncached=2_000)
    assert shadows.settle(begun, answered(usage, 0)).baseline_usage == Usage(uncached=6_000)


def test_a_stage_with_the_same_last_mark_is_measured_there():
    shadows = Shadows()
    begun = shadows.begin(stages(prompt("a b c", 1), 0, cache_ttl=prompt("a b c", (1, "1h"))))
    usage = Usage(cache_write_1h=2_345, uncached=1_000)
    found = shadows.settle(begun, answered(usage, 0)).baseline_usage
    assert found == Usage(cache_write_5m=2_345, uncached=1_000)


def test_repairs_that_lengthen_the_prompt_do_not_lengthen_the_baseline():
    shadows = Shadows()
    begun = shadows.begin(stages(prompt("a b"), 0, repair_volatile_system=prompt("a c", rest=50)))
    found = shadows.settle(begun, answered(Usage(uncached=2_050), 0))
    assert found.baseline_usage == Usage(uncached=2_000)


def test_an_empty_prompt_is_shadowed_too():
    shadows = Shadows()
    begun = shadows.begin(stages(prompt(""), 0, cache_marks=prompt("")))
    assert shadows.settle(begun, answered(Usage(), 0)).bound_pico == 0


def warm(second: PrefixView, sent: PrefixView, usage: Usage, *, gap: float = 10) -> Savings:
    """A prefix of two blocks, written, then a call that is answered with ``usage``."""
    shadows = Shadows()
    first = stages(prompt("a b", 1), 0, cache_ttl=prompt("a b", (1, "1h")))
    written = Usage(cache_write_1h=2_000)
    shadows.settle(shadows.begin(first), answered(written, 0))
    begun = shadows.begin(stages(second, gap, cache_ttl=sent))
    return shadows.settle(begun, answered(usage, gap))


def test_a_break_that_strikes_us_would_have_struck_the_client():
    second, sent = prompt("a b c", 2), prompt("a b c", (2, "1h"))
    lost = warm(second, sent, Usage(cache_write_1h=3_000))
    assert lost.baseline_usage == Usage(cache_write_5m=3_000)
    partly = warm(second, sent, Usage(cache_read=1_000, cache_write_1h=2_000))
    assert partly.baseline_usage.cache_read == 1_000


def test_an_entry_that_outlived_our_clock_would_have_done_so_for_the_client():
    second, sent = prompt("a b c", 2), prompt("a b c", (2, "1h"))
    found = warm(second, sent, Usage(cache_read=2_000, cache_write_1h=1_000), gap=4_000)
    assert found.baseline_usage.cache_read == 2_000


@pytest.mark.parametrize(("read", "wanted"), [(500, 1_000), (1_000, 1_000), (1_800, 1_800)])
def test_luck_counts_for_a_stage_as_far_as_it_reaches_beyond_what_it_reads_anyway(read, wanted):
    shadows = Shadows()
    view, sent = prompt("a b", (0, "1h"), 1), prompt("x y", 1)
    first = shadows.begin(stages(view, 0, cache_ttl=sent))
    shadows.settle(first, answered(Usage(cache_write_5m=2_000), 0))
    late = shadows.begin(stages(view, 700, cache_ttl=sent))
    lucky = Usage(cache_read=read, cache_write_5m=2_000 - read)
    assert shadows.settle(late, answered(lucky, 700)).baseline_usage.cache_read == wanted


def test_what_was_foreseen_for_the_client_is_kept_for_the_calibration():
    begun = Shadows().begin(stages(prompt("a b", 1), 0, cache_ttl=prompt("a b", (1, "1h"))))
    assert begun.foreseen == Usage(cache_write_5m=2_000)


def test_what_the_answer_cost_beyond_its_prompt_is_in_both():
    usage = Usage(
        uncached=2_000,
        output=50,
        web_search_requests=2,
        iterations=(
            Iteration(type="message", model=None, usage=Usage(uncached=2_000, output=50)),
            Iteration(type="compaction", model=None, usage=Usage(uncached=9_000, output=90)),
        ),
    )
    shadows = Shadows()
    begun = shadows.begin(stages(prompt("a b", 1), 0, cache_marks=prompt("a b")))
    found = shadows.settle(begun, answered(usage, 0))
    extra = input_cost(Usage(cache_write_5m=2_000)) - input_cost(Usage(uncached=2_000))
    assert found.baseline_pico == found.cost_pico + extra


def test_an_answer_without_a_usage_makes_what_was_written_readable():
    shadows = Shadows()
    shadows.seen(shadows.begin(stages(prompt("a b", 1), 0)), at(1))
    assert shadows.predict(prompt("a b c", 2), at(10)).cache_read == 2_000


def test_a_prediction_is_made_without_booking_anything():
    shadows = Shadows()
    view = prompt("a b", 1)
    assert shadows.predict(view, T0) == shadows.predict(view, T0) == Usage(cache_write_5m=2_000)


@pytest.mark.parametrize(
    "levers", [[], ["cache.marks"], [AS_SENT_BY_CLIENT, "cache.ttl", "cache.marks"]]
)
def test_stages_out_of_order_are_a_bug(levers):
    shown = [Stage(lever=lever, view=prompt("a"), began_at=T0) for lever in levers]
    with pytest.raises(EngineBug, match="stage"):
        Shadows().begin(shown)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 4_000),
            st.sets(st.sampled_from(ABLATION_ORDER)),
            st.integers(0, 3_000),
            st.sampled_from([(), (0,), (1,), (0, 2)]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_happens_savings_add_up_and_stay_within_their_bound(calls):
    shadows, now, total = Shadows(), T0, 0
    for number, (gap, levers, read, marks) in enumerate(calls):
        now += timedelta(seconds=gap)
        view = prompt(numbered(3 + number), *marks)
        shown = [Stage(lever=AS_SENT_BY_CLIENT, view=view, began_at=now)]
        for lever in ABLATION_ORDER:
            if lever in levers:
                view = prompt(numbered(3 + number), (len(shown) % 3, "1h"))
                shown.append(Stage(lever=lever, view=view, began_at=now))
        usage = Usage(cache_read=read, uncached=view.total_tokens - min(read, 3_000), output=5)
        begun = shadows.begin(shown)
        found = shadows.settle(
            begun,
            Answered(usage=usage, first_byte_at=now, card=CARD, cost=price(usage, CARD)),
        )
        assert sum(found.by_lever.values()) == found.saved_pico
        assert all(abs(saved) <= found.bound_pico for saved in found.by_lever.values())
        assert found.baseline_usage.prompt == usage.prompt
        total += found.saved_pico
        if not levers:
            assert found.saved_pico == 0
