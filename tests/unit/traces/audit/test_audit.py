"""The audit's sums: exact where they are counts or money, honest where they are not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from farthing.traces.claude_code import PROGRESS_SOURCE
from tests.unit.traces.audit.examples import audit_of, document_of, session_of
from tests.unit.traces.recorded import call, conversation, raw, usage

BATCH_ITEM = {"input_tokens": 1_000_000, "output_tokens": 0, "service_tier": "batch"}


def advised(document):
    return {item["title"]: Decimal(item["estimated_usd"]) for item in document["advice"]}


def test_tokens_and_dollars_are_exact():
    counts = usage(uncached=1, write=20, write_1h=300, read=4_000, output=50_000)
    totals = document_of(conversation([call(1, counts)]))["totals"]

    assert [totals[f"{name}_tokens"] for name in ("uncached", "cache_write_5m", "output")] == [
        1,
        20,
        50_000,
    ]
    # opus 4.8: 5, 6.25, 10, 0.5 and 25 $/Mtok
    assert totals["cost_usd"] == "1.25513"


def test_a_call_is_priced_as_it_was_served():
    document = document_of(conversation([call(1, BATCH_ITEM)]))

    assert document["totals"]["cost_usd"] == "2.5"


def test_a_call_is_priced_on_its_day():
    card_changed_on = {"2026-10-06": "0.2", "2026-10-07": "0.1"}
    for day, dollars in card_changed_on.items():
        one = conversation(
            [call(1, usage(read=1_000_000))],
            model="claude-sonnet-5-5",
            started_at=f"{day}T12:00:00+00:00",
        )
        assert document_of(one)["totals"]["cost_usd"] == dollars


def test_a_model_without_a_price_has_tokens_and_no_dollars():
    document = document_of(conversation([call(1, usage(uncached=7, output=3))], model="gemini-3"))

    assert document["totals"]["cost_usd"] is None
    assert document["totals"]["unpriced_tokens"] == 10
    assert document["by"]["model"][0]["cost_usd"] is None
    assert any("without a price" in note for note in document["notes"])


def test_one_priced_call_beside_an_unpriced_one_gives_the_sum_of_what_is_known():
    priced = conversation([call(1, usage(uncached=200_000))])
    unpriced = conversation([call(1, usage(uncached=200_000))], id="d#0", model="gemini-3")

    totals = document_of(priced, unpriced)["totals"]

    assert (totals["cost_usd"], totals["unpriced_calls"], totals["calls"]) == ("1", 1, 2)


def test_each_dimension_sums_to_the_total():
    document = document_of(session_of([0, 10, 90_000]), session_of([5], model="claude-haiku-4-5"))

    for groups in document["by"].values():
        assert (
            sum(group["prompt_tokens"] for group in groups) == (document["totals"]["prompt_tokens"])
        )
        assert sum(Decimal(group["cost_usd"]) for group in groups) == Decimal(
            document["totals"]["cost_usd"]
        )


def test_components_sum_to_the_total():
    document = document_of(session_of([0, 10, 400]))

    parts = sum(Decimal(part["cost_usd"]) for part in document["components"])
    assert parts == Decimal(document["totals"]["cost_usd"])


def test_late_output_is_added_to_tokens_and_dollars_but_not_to_calls():
    late = call(1, usage(uncached=9, output=100), replayed=True, late_output_tokens=40)
    totals = document_of(conversation([late]))["totals"]

    assert (totals["calls"], totals["output_tokens"], totals["uncached_tokens"]) == (0, 40, 0)
    assert totals["cost_usd"] == "0.001"


def test_sub_agents_known_only_from_progress_are_kept_apart():
    document = document_of(conversation([call(1, usage(uncached=5))], source=PROGRESS_SOURCE))

    assert document["totals"]["calls"] == 0
    assert document["not_in_sums"]["progress_only"]["calls"] == 1


def test_since_leaves_out_earlier_calls_but_remembers_their_cache():
    one = session_of([0, 100])
    before = document_of(one, since=date(2026, 10, 10))
    after = document_of(one, since=date(2026, 10, 11))

    assert before["totals"]["calls"] == 2
    assert after["totals"]["calls"] == 0

    midnight = 15 * 3600
    across = document_of(session_of([midnight - 50, midnight + 50]), since=date(2026, 10, 11))
    assert across["totals"]["calls"] == 1
    assert across["misses"] == []


def test_a_call_without_usage_is_counted_and_its_tokens_are_said_to_be_unknown():
    document = document_of(conversation([call(1)]))

    assert document["totals"]["uncounted_calls"] == 1
    assert any("no usage" in note for note in document["notes"])


def test_outputs_that_cannot_be_all_are_called_a_lower_bound():
    messages = [("user", "x"), ("assistant", "word " * 500), ("user", "y")]
    counts = usage(write=5_000, output=1)
    one = conversation([call(1, counts), call(3, counts, at=5.0)], messages)

    assert any("lower bound" in note for note in document_of(one)["notes"])


def test_a_pause_of_ten_minutes_makes_the_hour_cache_worth_it_only_if_it_happens_often():
    often = advised(document_of(session_of([n * 600.0 for n in range(10)])))
    once = advised(document_of(session_of([0, 600.0, *(600.0 + n * 10 for n in range(1, 200))])))

    assert "Ask for the one-hour prompt cache" in often
    assert "Ask for the one-hour prompt cache" not in once
    assert "Do not come back to a long session after 5-60 minutes" in once


def test_hour_writes_without_pauses_are_a_waste():
    brisk = advised(document_of(session_of([n * 10.0 for n in range(10)], ttl="1h")))
    slow = advised(document_of(session_of([n * 600.0 for n in range(10)], ttl="1h")))

    assert "Write the prompt cache for five minutes instead of an hour" in brisk
    assert "Write the prompt cache for five minutes instead of an hour" not in slow


def test_the_hour_caches_gain_is_what_it_saves_less_what_it_costs():
    audit = audit_of(session_of([0, 600.0]))

    # opus 4.8: the pause rewrote 30,000 tokens (6.25 - 0.50), an hour's write adds 3.75 $/Mtok
    assert audit.ttl.lost_to_5m == pytest.approx(30_000 * 5_750_000)
    assert audit.ttl.hour_surcharge == pytest.approx(61_000 * 3_750_000)


def test_caching_that_was_not_asked_for_is_the_first_thing_to_do():
    calls = [call(1 + 2 * n, usage(uncached=20_000 + n), at=n * 5.0) for n in range(20)]
    messages = [("user" if n % 2 == 0 else "assistant", "x") for n in range(41)]

    document = document_of(conversation(calls, messages))

    saved = 19 * 20_000 * Decimal("4.5e-6") - 20_000 * Decimal("1.25e-6")
    assert document["advice"][0]["title"] == "Turn prompt caching on"
    assert advised(document)["Turn prompt caching on"] == pytest.approx(saved, rel=Decimal("0.01"))


def test_single_calls_of_programs_are_batchable_at_half_the_price():
    singles = [
        conversation([call(1, usage(uncached=200_000))], id=f"c{n}#0", session_id=f"c{n}")
        for n in range(3)
    ]

    assert advised(document_of(*singles))["Send calls nobody waits for as a batch"] == Decimal(
        "1.5"
    )


def test_tools_that_nobody_called_are_named():
    tools = raw([{"name": "used"}, {"name": "idle", "description": "x" * 4_000}])
    messages = [
        ("user", "x"),
        ("assistant", [{"type": "tool_use", "id": "t", "name": "used", "input": {}}]),
        ("user", "y"),
    ]
    calls = [call(1, usage(uncached=5_000)), call(3, usage(uncached=5_000), at=5.0)]

    document = document_of(conversation(calls, messages, tools=tools))

    assert [tool["tool"] for tool in document["unused_tools"]] == ["idle"]


def test_inferred_tools_are_never_called_unused():
    tools = raw([{"name": "idle", "description": "x" * 4_000}])
    one = conversation([call(1, usage(uncached=5_000))], tools=tools, tools_inferred=True)

    assert document_of(one)["unused_tools"] == []


def test_months_are_scaled_from_the_days_that_were_recorded():
    document = document_of(session_of([n * 86_400.0 for n in range(11)]))

    item = document["advice"][0]
    assert document["period"]["days"] == 10.0
    assert Decimal(item["estimated_usd_per_month"]) == pytest.approx(
        Decimal(item["estimated_usd"]) * Decimal("3.044"), rel=Decimal("0.001")
    )


def test_less_than_a_day_counts_as_one():
    assert document_of(session_of([0, 10]))["period"]["days"] == 1.0


def test_images_are_an_origin_of_their_own():
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 100_000}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    use = {"type": "tool_use", "id": "t", "name": "Screenshot", "input": {}}
    calls = [call(1, usage(write=100)), call(3, usage(read=100, write=1_600), at=5.0)]
    one = conversation(calls, [("user", [image]), ("assistant", [use]), ("user", [result])])

    origins = {(o["kind"], o["tool"]) for o in document_of(one)["origins"]}

    assert {("image", None), ("image", "Screenshot")} <= origins


def test_stretches_of_one_thread_know_what_the_last_one_left():
    first = session_of([0.0])
    after = conversation(
        [call(1, usage(write=40_000), at=30.0)], id="c#1", segment="after-compaction"
    )

    causes = [miss["cause"] for miss in document_of(first, after)["misses"]]

    assert any("history rewritten" in cause for cause in causes)


def stream_of(count, gap, *, words="classify this ", name="c", **more):
    return [
        conversation(
            [call(1, usage(uncached=6_000), at=n * gap)],
            [("user", f"ticket {n}")],
            id=f"{name}{n}#0",
            system=raw(words * 1_800),
            **more,
        )
        for n in range(count)
    ]


def test_conversations_that_send_the_same_prompt_uncached_could_share_it():
    (miss,) = document_of(*stream_of(10, 30.0))["misses"]

    assert (miss["cause"], miss["calls"]) == ("caching not asked for", 9)
    assert 9 * 5_500 < miss["tokens"] < 9 * 6_000


def test_they_could_not_if_they_are_too_far_apart_or_different_or_of_two_models():
    far = document_of(*stream_of(10, 300.0))
    other = document_of(*stream_of(1, 1.0), *stream_of(1, 1.0, words="translate this ", name="d"))
    models = document_of(*stream_of(1, 1.0), *stream_of(1, 1.0, model="claude-opus-4-6", name="d"))

    assert far["misses"] == other["misses"] == models["misses"] == []


def test_the_gain_of_a_shared_prefix_counts_what_each_call_would_still_write():
    document = document_of(*stream_of(1_000, 1.0))

    # opus 4.8: 5 $/Mtok uncached, 0.50 read; the tickets themselves are small
    gain = advised(document)["Turn prompt caching on"]
    assert Decimal("0.9") < gain / (999 * 6_000 * Decimal("4.5e-6")) < Decimal("1.0")
