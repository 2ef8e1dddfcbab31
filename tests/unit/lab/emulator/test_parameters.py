"""Which parameters are refused, with which words: API facts, sections 1.7, 2.1, 2.4, 2.8, 4.1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.emulator.talking import NEW, OLD, Client, long_text, user

NEW_VERSION = {"anthropic-version": "2026-10-21"}
FORCED = {"tool_choice": {"type": "any"}, "tools": [{"name": "t", "input_schema": {}}]}


def marked(count: int) -> list[dict[str, Any]]:
    return [long_text(1) for _ in range(count)]


def test_four_breakpoints_are_allowed() -> None:
    Client().ask(system=marked(4))


def test_five_breakpoints_are_refused_in_the_documented_words() -> None:
    error = Client().refused(system=marked(5))
    assert error["message"] == (
        "A maximum of 4 blocks with cache_control may be provided. Found 5."
    )
    assert (error["status"], error["type"]) == (400, "invalid_request_error")


def test_the_automatic_breakpoint_counts() -> None:
    error = Client().refused(system=marked(4), cache_control={"type": "ephemeral"})
    assert error["message"].endswith("Found 5.")


def test_the_automatic_breakpoint_on_a_block_marked_alike_changes_nothing() -> None:
    last = [{"role": "user", "content": [long_text(10)]}]
    Client().ask(system=marked(3), messages=last, cache_control={"type": "ephemeral"})


def test_the_automatic_breakpoint_with_another_ttl_is_refused() -> None:
    last = [{"role": "user", "content": [long_text(10)]}]
    error = Client().refused(messages=last, cache_control={"type": "ephemeral", "ttl": "1h"})
    assert "messages.0.content.0.cache_control.ttl" in error["message"]


def test_one_hour_after_five_minutes_is_refused_in_the_documented_words() -> None:
    error = Client().refused(system=[long_text(5), long_text(5, mark="1h")])
    assert error["message"] == (
        "system.1.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
        "ttl='5m' cache_control block. Note that blocks are processed in the following order: "
        "`tools`, `system`, `messages`."
    )


def test_five_minutes_after_one_hour_is_fine() -> None:
    Client().ask(system=[long_text(5, mark="1h"), long_text(5)])


@pytest.mark.parametrize("ttl", ["2h", "", "5min"])
def test_an_unknown_ttl_is_refused_except_none_at_all(ttl: str) -> None:
    block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": ttl}}
    if ttl:
        assert "ttl" in Client().refused(system=[block])["message"]
    else:
        Client().ask(system=[block])


@pytest.mark.parametrize("value", [..., -1, "9", True])
def test_max_tokens_must_be_a_number_from_zero(value: Any) -> None:
    assert "max_tokens" in Client().refused(max_tokens=value)["message"]


@pytest.mark.parametrize(("value", "served"), [(64_000, True), (64_001, False)])
def test_max_tokens_may_not_exceed_the_models_limit(value: int, served: bool) -> None:
    client = Client()
    client.ask(max_tokens=value) if served else client.refused(max_tokens=value)


@pytest.mark.parametrize(
    "clash",
    [
        {"stream": True},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        FORCED,
    ],
    ids=["stream", "thinking", "format", "tool_choice"],
)
def test_prewarming_cannot_be_combined(clash: dict[str, Any]) -> None:
    assert "max_tokens: 0" in Client().refused(max_tokens=0, **clash)["message"]


@pytest.mark.parametrize(
    ("model", "kind", "served"),
    [
        (OLD, "adaptive", False),
        (OLD, "enabled", True),
        (OLD, "disabled", True),
        ("claude-opus-4-6", "adaptive", True),
        ("claude-opus-4-6", "enabled", True),
        ("claude-opus-4-7", "enabled", False),
        ("claude-opus-4-8", "disabled", True),
        ("claude-opus-5", "disabled", True),
        (NEW, "disabled", False),
        (NEW, "enabled", False),
        (NEW, "adaptive", True),
        ("claude-fable-5", "disabled", False),
        ("claude-sonnet-5-5", "disabled", False),
        ("claude-sonnet-5-5", "between_tools", True),
        ("claude-sonnet-5", "between_tools", False),
        ("claude-sonnet-5", "disabled", True),
        ("claude-haiku-5-5", "disabled", True),
        ("claude-haiku-4-5", "adaptive", False),
    ],
)
def test_each_model_takes_its_own_kinds_of_thinking(model: str, kind: str, served: bool) -> None:
    thinking = {"type": kind, **({"budget_tokens": 1024} if kind == "enabled" else {})}
    fields = {"model": model, "max_tokens": 4000, "thinking": thinking}
    if served:
        Client().ask(**fields)
    else:
        assert f"thinking.type.{kind}" in Client().refused(**fields)["message"]


@pytest.mark.parametrize(("effort", "served"), [("high", True), ("xhigh", False)])
def test_thinking_is_switched_off_only_up_to_high_effort(effort: str, served: bool) -> None:
    fields: dict[str, Any] = {
        "model": "claude-opus-5",
        "thinking": {"type": "disabled"},
        "output_config": {"effort": effort},
    }
    Client().ask(**fields) if served else Client().refused(**fields)


@pytest.mark.parametrize(("budget", "limit", "served"), [(1024, 1025, True), (1024, 1024, False)])
def test_a_thinking_budget_is_less_than_max_tokens(budget: int, limit: int, served: bool) -> None:
    thinking = {"type": "enabled", "budget_tokens": budget}
    fields = {"thinking": thinking, "max_tokens": limit}
    Client().ask(**fields) if served else Client().refused(**fields)


def test_a_thinking_budget_is_at_least_1024() -> None:
    Client().refused(thinking={"type": "enabled", "budget_tokens": 1023})


@pytest.mark.parametrize(
    ("model", "thinking", "served"),
    [
        (NEW, None, False),
        ("claude-sonnet-5-5", None, False),
        ("claude-fable-5-1", None, False),
        ("claude-opus-5", None, True),
        (OLD, None, True),
        (OLD, {"type": "enabled", "budget_tokens": 1024}, False),
    ],
)
def test_forcing_a_tool_depends_on_the_model(model: str, thinking: Any, served: bool) -> None:
    fields = {"model": model, "max_tokens": 3000, **FORCED}
    fields |= {"thinking": thinking} if thinking else {}
    Client().ask(**fields) if served else Client().refused(**fields)


@pytest.mark.parametrize(
    ("model", "headers", "served"),
    [(OLD, {}, True), (OLD, NEW_VERSION, False), ("claude-opus-4-7", {}, False)],
)
def test_temperature_is_refused_by_new_versions_and_new_models(
    model: str, headers: dict[str, str], served: bool
) -> None:
    client = Client()
    fields = {"model": model, "temperature": 0.5}
    client.ask(headers, **fields) if served else client.refused(headers, **fields)


def test_the_default_temperature_is_taken_by_new_models_under_the_old_version() -> None:
    Client().ask(model="claude-opus-4-7", temperature=1)


@pytest.mark.parametrize(
    ("model", "served"), [(OLD, False), ("claude-opus-4-6", True), (NEW, True)]
)
def test_inference_geo_is_for_models_from_4_6_on(model: str, served: bool) -> None:
    client = Client()
    if served:
        assert client.ask(model=model, inference_geo="us")["usage"]["inference_geo"] == "us"
    else:
        client.refused(model=model, inference_geo="us")


def test_fast_mode_needs_a_beta_on_opus_5_and_none_on_opus_5_5() -> None:
    beta = {"anthropic-beta": "fast-mode-2026-02-01"}
    client = Client()
    client.refused(model="claude-opus-5", speed="fast")
    served = client.ask(beta, model="claude-opus-5", speed="fast")
    assert served["usage"]["speed"] == "fast"
    assert client.ask(model=NEW, speed="fast")["usage"]["speed"] == "fast"


def test_fast_mode_on_opus_4_6_is_silently_served_at_standard_speed() -> None:
    assert Client().ask(model="claude-opus-4-6", speed="fast")["usage"]["speed"] == "standard"


@pytest.mark.parametrize(
    "fields",
    [{"speed": "warp"}, {"inference_geo": "eu"}, {"output_config": {"effort": "some"}}],
    ids=str,
)
def test_unknown_values_are_refused(fields: dict[str, Any]) -> None:
    assert Client().refused(model=NEW, **fields)["status"] == 400


@pytest.mark.parametrize("model", [..., "", "claude-opus-9", "claude-opus-5-5-20260922"])
def test_an_unknown_model_is_refused(model: Any) -> None:
    Client().refused(model=model)


def test_a_retired_model_is_not_found() -> None:
    client = Client()
    client.ask(model="claude-sonnet-4-5")
    client.wait(20 * 86_400)  # 2026-12-06, after its retirement
    assert client.refused(model="claude-sonnet-4-5")["status"] == 404


@pytest.mark.parametrize(("words", "served"), [(199_000, True), (201_000, False)])
def test_a_prompt_beyond_the_context_window_is_too_long(words: int, served: bool) -> None:
    client = Client()
    fields = {"messages": [user(long_text(words)["text"])]}
    if served:
        client.ask(**fields)
    else:
        error = client.refused(**fields)["message"]
        assert error.startswith("prompt is too long: ")
        assert error.endswith(" tokens > 200000 maximum")


def test_output_that_reaches_the_end_of_the_window_stops_there() -> None:
    text = long_text(199_900)["text"]
    answer = Client().ask(
        {"x-emulator-answer": "output=500"}, messages=[user(text)], max_tokens=1000
    )
    assert answer["stop_reason"] == "model_context_window_exceeded"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages": 1}', b'{"messages": [1]}'])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    reply = Client().send("POST", "/v1/messages", body or b" ")
    assert reply.status == 400
