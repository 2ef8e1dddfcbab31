"""Context editing, compaction, diagnostics, server tools: API facts, 2.6, 2.9, 6.1, 6.2."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.emulator.talking import NEW, OLD, Client, long_text, user

EDITING = {"anthropic-beta": "context-management-2025-06-27"}
THRESHOLD = {"anthropic-beta": "compact-2026-01-12,context-management-2025-06-27"}
ON_DEMAND = {"anthropic-beta": "compact-2026-09-04"}
TOOLS = [{"name": "read", "input_schema": {"type": "object"}}]


def tool_history(rounds: int, words: int = 1000) -> list[dict[str, Any]]:
    messages = [user("start")]
    for n in range(rounds):
        use = {"type": "tool_use", "id": f"t{n}", "name": "read", "input": {"n": "x" * 50}}
        text = " ".join(["with"] * words)
        result = {"type": "tool_result", "tool_use_id": f"t{n}", "content": text}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return messages


def clear(**edit: Any) -> dict[str, Any]:
    trigger = {"type": "input_tokens", "value": 4000}
    edit = {"type": "clear_tool_uses_20250919", "trigger": trigger, **edit}
    return {"edits": [edit]}


def edited(client: Client, rounds: int, management: dict[str, Any], **fields: Any) -> Any:
    return client.ask(
        EDITING,
        tools=TOOLS,
        messages=tool_history(rounds),
        context_management=management,
        **fields,
    )


def test_below_the_trigger_nothing_is_cleared() -> None:
    answer = edited(Client(), 3, clear())
    assert answer["context_management"] == {"applied_edits": []}
    assert answer["usage"]["input_tokens"] > 3000


def test_above_the_trigger_all_but_the_last_three_results_are_cleared() -> None:
    answer = edited(Client(), 6, clear())
    (applied,) = answer["context_management"]["applied_edits"]
    assert applied["type"] == "clear_tool_uses_20250919"
    assert applied["cleared_tool_uses"] == 3
    assert 2900 < applied["cleared_input_tokens"] < 3100
    assert 3000 < answer["usage"]["input_tokens"] < 4200


def test_the_trigger_may_count_tool_uses() -> None:
    answer = edited(
        Client(), 3, clear(trigger={"type": "tool_uses", "value": 2}, keep={"value": 1})
    )
    assert answer["context_management"]["applied_edits"][0]["cleared_tool_uses"] == 2


def test_clear_at_least_prevents_a_clearing_that_is_not_worth_its_cache() -> None:
    answer = edited(Client(), 6, clear(clear_at_least={"type": "input_tokens", "value": 9000}))
    assert answer["context_management"]["applied_edits"] == []


def test_excluded_tools_keep_their_results() -> None:
    answer = edited(Client(), 6, clear(exclude_tools=["read"]))
    assert answer["context_management"]["applied_edits"] == []


@pytest.mark.parametrize("inputs", [True, ["read"]], ids=str)
def test_tool_inputs_are_cleared_on_demand(inputs: Any) -> None:
    def gain(management: dict[str, Any]) -> int:
        applied = edited(Client(), 6, management)["context_management"]["applied_edits"]
        return int(applied[0]["cleared_input_tokens"])

    assert gain(clear(clear_tool_inputs=inputs)) > gain(clear(clear_tool_inputs=["other"]))


def test_a_clearing_loses_the_prompt_cache_from_the_first_cleared_block_on() -> None:
    client = Client()
    mark = {"type": "ephemeral"}
    edited(client, 6, {"edits": []}, system=[long_text()], cache_control=mark)
    answer = edited(client, 6, clear(), system=[long_text()], cache_control=mark)
    assert 6000 < answer["usage"]["cache_read_input_tokens"] < 6700
    assert answer["usage"]["cache_creation_input_tokens"] > 3000


def test_old_thinking_is_cleared_by_turns() -> None:
    client = Client()
    fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 5000}
    messages: list[dict[str, Any]] = [user("[[emulator: thinking=100 tools=0]]")]
    for _ in range(3):
        answer = client.ask(messages=messages, **fields)
        messages += [{"role": "assistant", "content": answer["content"]}, user("go on")]
    keep = {"type": "thinking_turns", "value": 1}
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": keep}]}
    answer = client.ask(EDITING, messages=messages, context_management=edits, **fields)
    (applied,) = answer["context_management"]["applied_edits"]
    assert (applied["cleared_thinking_turns"], applied["cleared_input_tokens"]) == (2, 200)


@pytest.mark.parametrize(
    ("headers", "management"),
    [
        ({}, clear()),
        (EDITING, {"edits": [{"type": "clear_everything"}]}),
        (EDITING, {"edits": "all"}),
        (EDITING, {"edits": [*clear()["edits"], {"type": "clear_thinking_20251015"}]}),
        (EDITING, {"edits": [{"type": "compact_20260112"}]}),
        (THRESHOLD, {"edits": [{"type": "compact_20260112", "trigger": {"value": 49_999}}]}),
    ],
    ids=["no beta", "unknown", "no list", "thinking not first", "no compaction beta", "too low"],
)
def test_bad_context_management_is_refused(headers: Any, management: Any) -> None:
    Client().refused(headers, context_management=management)


def compact(**edit: Any) -> dict[str, Any]:
    trigger = {"type": "input_tokens", "value": 50_000}
    return {"edits": [{"type": "compact_20260112", "trigger": trigger, **edit}]}


def big_history() -> list[dict[str, Any]]:
    return [user(str(long_text(60_000)["text"])), {"role": "assistant", "content": "ok"}, user()]


def test_compaction_is_billed_in_iterations_only() -> None:
    answer = Client().ask(THRESHOLD, messages=big_history(), context_management=compact())
    usage = answer["usage"]
    assert answer["content"][0]["type"] == "compaction"
    assert [one["type"] for one in usage["iterations"]] == ["compaction", "message"]
    assert usage["iterations"][0]["input_tokens"] > 60_000
    assert usage["input_tokens"] == usage["iterations"][1]["input_tokens"] < 2_000
    assert usage["output_tokens"] == usage["iterations"][1]["output_tokens"]


def test_below_its_trigger_compaction_does_nothing() -> None:
    answer = Client().ask(THRESHOLD, context_management=compact())
    assert "iterations" not in answer["usage"]


def test_what_stands_before_a_compaction_block_is_ignored() -> None:
    client = Client()
    answer = client.ask(THRESHOLD, messages=big_history(), context_management=compact())
    messages = [*big_history(), {"role": "assistant", "content": answer["content"]}, user("next")]
    again = client.ask(THRESHOLD, messages=messages, context_management=compact())
    assert again["usage"]["input_tokens"] < 2_500


def test_compaction_may_pause_after_the_block() -> None:
    management = compact(pause_after_compaction=True)
    answer = Client().ask(THRESHOLD, messages=big_history(), context_management=management)
    assert answer["stop_reason"] == "compaction"
    assert len(answer["content"]) == 1
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (0, 0)


def test_thinking_after_a_compaction_block_stays_valid_when_the_history_is_dropped() -> None:
    client = Client()
    answer = client.ask(THRESHOLD, model=NEW, messages=big_history(), context_management=compact())
    reply = {"role": "assistant", "content": answer["content"]}
    for before in ([*big_history()], []):
        client.ask(THRESHOLD, model=NEW, messages=[*before, reply, user("next")])


def test_compaction_on_demand_answers_with_a_signed_block_alone() -> None:
    client = Client()
    answer = client.ask(ON_DEMAND, messages=big_history(), compaction={"type": "summarize"})
    (block,) = answer["content"]
    assert block["type"] == "compaction"
    assert block["signature"]
    assert answer["stop_reason"] == "compaction"
    assert answer["usage"]["input_tokens"] == 0
    assert answer["usage"]["iterations"][0]["input_tokens"] > 60_000
    client.ask(ON_DEMAND, messages=[{"role": "assistant", "content": [block]}, user("next")])


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({}, {}),
        (ON_DEMAND, {"compaction": {"type": "forget"}}),
        (ON_DEMAND, {"compaction": {"type": "summarize", "instructions": "x" * 16_385}}),
        (
            {"anthropic-beta": f"{ON_DEMAND['anthropic-beta']},{EDITING['anthropic-beta']}"},
            {"context_management": clear()},
        ),
    ],
    ids=["no beta", "unknown", "long instructions", "with editing"],
)
def test_bad_compaction_is_refused(headers: Any, fields: Any) -> None:
    Client().refused(headers, **{"compaction": {"type": "summarize"}, **fields})


def diagnosis(client: Client, previous: str | None, **fields: Any) -> Any:
    return client.ask(diagnostics={"previous_message_id": previous}, **fields)


CACHED: dict[str, Any] = {
    "tools": TOOLS,
    "system": [long_text()],
    "messages": [{"role": "user", "content": [long_text(100)]}],
}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"model": "claude-opus-4-6"}, "model_changed"),
        ({"system": [long_text(6001)]}, "system_changed"),
        ({"tools": [*TOOLS, {"name": "b", "input_schema": {}}]}, "tools_changed"),
        ({"messages": [user("other")]}, "messages_changed"),
    ],
    ids=str,
)
def test_a_cache_miss_is_diagnosed(changed: dict[str, Any], reason: str | None) -> None:
    client = Client()
    first = diagnosis(client, None, **CACHED)
    second = diagnosis(client, first["id"], **{**CACHED, **changed})
    assert first["diagnostics"] is None
    if reason is None:
        assert second["diagnostics"] is None
        return
    told = second["diagnostics"]["cache_miss_reason"]
    assert told["type"] == reason
    assert told["cache_missed_input_tokens"] > 0


def test_a_change_of_other_parameters_cannot_be_diagnosed() -> None:
    client = Client()
    first = diagnosis(client, None, **CACHED)
    second = diagnosis(client, first["id"], **CACHED, tool_choice={"type": "none"})
    assert second["diagnostics"] == {"cache_miss_reason": {"type": "unavailable"}}


def test_only_requests_that_asked_are_remembered() -> None:
    client = Client()
    first = client.ask(**CACHED)
    second = diagnosis(client, first["id"], **CACHED)
    reason = second["diagnostics"]["cache_miss_reason"]
    assert reason == {"type": "previous_message_not_found"}


SEARCH = [{"type": "web_search_20260209", "name": "web_search"}]


def searched(client: Client, count: int, **fields: Any) -> Any:
    told = {"x-emulator-answer": f"search={count} output=40"}
    return client.ask(told, tools=SEARCH, **fields)


def test_each_search_is_an_iteration_that_pays_the_prompt_again() -> None:
    usage = searched(Client(), 2)["usage"]
    assert usage["server_tool_use"]["web_search_requests"] == 2
    parts = [one["input_tokens"] for one in usage["iterations"]]
    assert len(parts) == 3
    assert parts == sorted(parts)
    assert usage["input_tokens"] == sum(parts)


def test_server_tools_write_for_five_minutes_even_if_only_one_hour_was_asked_for() -> None:
    usage = searched(Client(), 2, system=[long_text(mark="1h")])["usage"]
    assert usage["cache_creation"]["ephemeral_1h_input_tokens"] > 6000
    assert usage["cache_creation"]["ephemeral_5m_input_tokens"] > 100
    assert usage["cache_read_input_tokens"] > 2 * 6000


def test_the_hidden_breakpoint_is_found_by_the_next_turn() -> None:
    client = Client()
    fields = {"system": [long_text()], "cache_control": {"type": "ephemeral"}}
    answer = searched(client, 1, **fields)
    messages = [user(), {"role": "assistant", "content": answer["content"]}, user("more")]
    again = client.ask(tools=SEARCH, messages=messages, **fields)
    second = answer["usage"]["iterations"][1]
    everything = second["cache_read_input_tokens"] + second["cache_creation_input_tokens"]
    assert again["usage"]["cache_read_input_tokens"] == everything


def test_more_than_ten_internal_iterations_pause_the_turn() -> None:
    client = Client()
    answer = searched(client, 12)
    assert answer["stop_reason"] == "pause_turn"
    messages = [user(), {"role": "assistant", "content": answer["content"]}]
    client.ask(tools=SEARCH, messages=messages, model=OLD)
