"""Usage objects of every shape the provider reports, read into disjoint counts."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import UpstreamError
from farthing.wire.usage import Iteration, Usage, parse_reported_usage, parse_usage

counts = st.integers(min_value=0, max_value=10**9)
words = st.none() | st.sampled_from(["standard", "batch", "fast", "us", "something new"])


def plain_usages() -> st.SearchStrategy[Usage]:
    return st.builds(
        Usage,
        uncached=counts,
        cache_write_5m=counts,
        cache_write_1h=counts,
        cache_read=counts,
        output=counts,
        output_thinking=counts,
        web_search_requests=counts,
        web_fetch_requests=counts,
        code_execution_requests=counts,
        service_tier=words,
        speed=words,
        inference_geo=words,
        fallback_credit=words,
    )


def iterations() -> st.SearchStrategy[Iteration]:
    return st.builds(
        Iteration,
        type=st.sampled_from(["message", "compaction", "advisor_message", "something_new"]),
        model=words,
        usage=plain_usages(),
    )


def wire_object(usage: Usage) -> dict[str, object]:
    """What the provider would have sent for these counts."""
    return {
        "input_tokens": usage.uncached,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.output_thinking},
        "server_tool_use": {
            "web_search_requests": usage.web_search_requests,
            "web_fetch_requests": usage.web_fetch_requests,
            "code_execution_requests": usage.code_execution_requests,
        },
        "service_tier": usage.service_tier,
        "speed": usage.speed,
        "inference_geo": usage.inference_geo,
        "fallback_credit": {"status": usage.fallback_credit},
        "iterations": [
            {"type": each.type, "model": each.model, **wire_object(each.usage)}
            for each in usage.iterations
        ],
    }


def parse(**members: object) -> Usage:
    return parse_usage(json.dumps(members).encode())


def merged(*reports: Mapping[str, object]) -> Usage:
    first, *later = (parse_reported_usage(json.dumps(report).encode()) for report in reports)
    for report in later:
        first = report.over(first)
    return first.total()


@given(plain_usages(), st.lists(iterations(), max_size=4))
def test_what_the_provider_reports_comes_back(base: Usage, entries: list[Iteration]) -> None:
    fields = {name: getattr(base, name) for name in Usage.__struct_fields__}
    usage = Usage(**(fields | {"iterations": tuple(entries)}))

    assert parse_usage(json.dumps(wire_object(usage)).encode()) == usage


def test_prompt_is_the_sum_of_the_four_input_counts() -> None:
    usage = Usage(uncached=1, cache_write_5m=20, cache_write_1h=300, cache_read=4000, output=9)

    assert usage.prompt == 4321


def test_the_documented_example_is_read() -> None:
    raw = b"""{"input_tokens":500,"cache_read_input_tokens":30000,
        "cache_creation_input_tokens":4000,"cache_creation":{"ephemeral_5m_input_tokens":4000,"ephemeral_1h_input_tokens":0},
        "output_tokens":220,"service_tier":"standard","inference_geo":"global"}"""

    assert parse_usage(raw) == Usage(
        uncached=500,
        cache_write_5m=4000,
        cache_read=30000,
        output=220,
        service_tier="standard",
        inference_geo="global",
    )


def test_an_empty_object_counts_nothing() -> None:
    assert parse() == Usage()


def test_null_members_count_nothing() -> None:
    names = [
        *("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
        *("cache_creation", "output_tokens", "output_tokens_details", "server_tool_use"),
        *("service_tier", "speed", "inference_geo", "fallback_credit", "iterations"),
    ]

    assert parse(**dict.fromkeys(names)) == Usage()


def test_null_inside_the_breakdown_counts_nothing() -> None:
    usage = parse(
        cache_creation={"ephemeral_5m_input_tokens": None, "ephemeral_1h_input_tokens": None},
        server_tool_use={"web_search_requests": None},
        output_tokens_details={"thinking_tokens": None},
    )

    assert usage == Usage()


def test_unknown_members_are_tolerated() -> None:
    assert parse(output_tokens=3, new_counter={"deep": [1]}) == Usage(output=3)


def test_writes_without_a_breakdown_are_five_minute_writes() -> None:
    assert parse(cache_creation_input_tokens=70) == Usage(cache_write_5m=70)


def test_writes_with_only_a_breakdown_are_read_from_it() -> None:
    usage = parse(cache_creation={"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4})

    assert usage == Usage(cache_write_5m=3, cache_write_1h=4)


def test_a_total_above_its_parts_is_not_lost() -> None:
    usage = parse(
        cache_creation_input_tokens=100,
        cache_creation={"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    )

    assert usage == Usage(cache_write_5m=80, cache_write_1h=20)


def test_iterations_keep_their_type_model_and_own_breakdown() -> None:
    usage = parse(
        input_tokens=5,
        iterations=[
            {"type": "compaction", "input_tokens": 9, "cache_creation_input_tokens": 2},
            {
                "type": "advisor_message",
                "model": "claude-fable-5-2",
                "cache_creation": {"ephemeral_1h_input_tokens": 7},
                "output_tokens": 1,
            },
        ],
    )

    assert usage.iterations == (
        Iteration(type="compaction", model=None, usage=Usage(uncached=9, cache_write_5m=2)),
        Iteration(
            type="advisor_message",
            model="claude-fable-5-2",
            usage=Usage(cache_write_1h=7, output=1),
        ),
    )


def test_context_is_the_last_pass_over_the_conversation() -> None:
    usage = parse(
        input_tokens=23_000,
        iterations=[
            {"type": "message", "input_tokens": 20_000},
            {"type": "message", "input_tokens": 23_000, "cache_read_input_tokens": 7},
            {"type": "compaction", "input_tokens": 180_000},
        ],
    )

    assert usage.context == 23_007


def test_context_after_a_fallback_is_the_serving_pass() -> None:
    usage = parse(
        iterations=[
            {"type": "message", "input_tokens": 535},
            {"type": "fallback_message", "model": "claude-opus-4-8", "input_tokens": 412},
        ],
    )

    assert usage.context == 412


def test_context_without_a_pass_over_the_conversation_is_the_prompt() -> None:
    usage = parse(input_tokens=4, iterations=[{"type": "compaction", "input_tokens": 180_000}])

    assert usage.context == 4


@pytest.mark.parametrize("status", ["redeemed", {"type": "redeemed"}])
def test_a_redeemed_fallback_credit_is_kept(status: object) -> None:
    assert parse(fallback_credit={"status": status}).fallback_credit == "redeemed"


@pytest.mark.parametrize("count", [-1, True, 1.5, 1.0, "7", [], 10**12 + 1])
def test_a_count_that_is_none_is_the_upstreams_fault(count: object) -> None:
    with pytest.raises(UpstreamError, match="usage cannot be read"):
        parse(output_tokens=count)


def test_the_largest_believable_count_is_read() -> None:
    assert parse(output_tokens=10**12) == Usage(output=10**12)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b'{"speed":"\xff"}', b'{"x":' + b"[" * 100_000]
)
def test_what_is_no_usage_object_is_the_upstreams_fault(raw: bytes) -> None:
    with pytest.raises(UpstreamError):
        parse_usage(raw)


def test_a_later_report_replaces_what_it_says_and_keeps_the_rest() -> None:
    usage = merged(
        {"input_tokens": 20, "cache_read_input_tokens": 4000, "output_tokens": 1, "speed": "fast"},
        {"input_tokens": None, "output_tokens": 12, "server_tool_use": {"web_search_requests": 2}},
    )

    assert usage == Usage(
        uncached=20, cache_read=4000, output=12, web_search_requests=2, speed="fast"
    )


def test_a_later_zero_replaces_too() -> None:
    assert merged({"input_tokens": 20}, {"input_tokens": 0}) == Usage()


def test_writes_added_by_a_later_total_are_five_minute_writes() -> None:
    start = {
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30},
    }

    usage = merged(start, {"cache_creation_input_tokens": 45})

    assert usage == Usage(cache_write_5m=15, cache_write_1h=30)


def test_a_smaller_later_total_wins_over_an_earlier_breakdown() -> None:
    start = {"cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 30}}

    assert merged(start, {"cache_creation_input_tokens": 20}) == Usage(cache_write_1h=20)


def test_a_later_total_with_its_breakdown_is_taken_as_it_is() -> None:
    start = {"cache_creation": {"ephemeral_1h_input_tokens": 30}}
    later = {
        "cache_creation_input_tokens": 40,
        "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 0},
    }

    assert merged(start, later) == Usage(cache_write_5m=40)


def test_later_iterations_replace_the_earlier_list() -> None:
    usage = merged(
        {"iterations": [{"type": "message", "input_tokens": 1}]},
        {"iterations": [{"type": "message", "input_tokens": 2}]},
    )

    assert usage.iterations == (Iteration(type="message", model=None, usage=Usage(uncached=2)),)
