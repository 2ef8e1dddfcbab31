"""Thinking bound to its prefix: API facts, sections 6.4 and 6.5."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from farthing.lab.emulator import Emulator, Settings
from farthing.lab.emulator.call import Account
from tests.unit.lab.emulator.talking import NEW, OLD, Client, user

TOOLS = [{"name": "read", "input_schema": {"type": "object"}}]
CONTROLS = {"anthropic-beta": "thinking-binding-controls-2026-08-01"}
DROP = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}


def loop(client: Client, model: str = NEW, turns: int = 3, **fields: Any) -> list[dict[str, Any]]:
    """A conversation of tool calls, as the client would send its next request."""
    messages: list[dict[str, Any]] = [user("[[emulator: tools=9 thinking=40]] go")]
    for _ in range(turns):
        answer = client.ask(model=model, tools=TOOLS, messages=messages, **fields)
        messages.append({"role": "assistant", "content": answer["content"]})
        calls = [block["id"] for block in answer["content"] if block["type"] == "tool_use"]
        done = [{"type": "tool_result", "tool_use_id": one, "content": "done"} for one in calls]
        messages.append({"role": "user", "content": done})
    return messages


def next_turn(client: Client, messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": NEW, "tools": TOOLS, "messages": messages, **fields}


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


def test_an_unchanged_history_is_served() -> None:
    client = Client()
    client.ask(**next_turn(client, loop(client)))


def test_an_always_thinking_model_answers_with_signed_thinking() -> None:
    block = Client().ask(model=NEW)["content"][0]
    assert block["type"] == "thinking"
    assert block["thinking"] == ""  # omitted unless a summary is asked for
    assert len(block["signature"]) > 50


def test_a_summary_is_shown_on_demand() -> None:
    shown = Client().ask(model=NEW, thinking={"type": "adaptive", "display": "summarized"})
    assert shown["content"][0]["thinking"]


EDITS: dict[str, Any] = {
    "edited result": lambda m: m[2]["content"][0].update(content="shortened"),
    "edited user text": lambda m: m[0].update(content="go"),
    "changed tool input": lambda m: m[1]["content"][-1].update(input={"path": "x"}),
    "removed text": lambda m: m[1]["content"].pop(1),
    "extra text": lambda m: m[2]["content"].append({"type": "text", "text": "hurry"}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_of_the_history_is_refused(edit: Any) -> None:
    client = Client()
    messages = loop(client)
    edit(messages)
    error = client.refused(**next_turn(client, messages))
    assert "Invalid `signature` in `thinking` block" in error["message"]
    assert "different conversation" in error["message"]


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_with_drop_block_the_same_edit_is_served_and_reported(edit: Any) -> None:
    client = Client()
    messages = loop(client)
    edit(messages)
    answer = client.ask(CONTROLS, **next_turn(client, messages, thinking=DROP))
    notes = answer["input_transformations"]
    assert {note["reason"] for note in notes} == {"prefix_binding_mismatch"}
    assert all(note["path"].startswith("messages.") for note in notes)


def test_dropped_thinking_is_not_billed() -> None:
    client = Client()
    messages = loop(client)
    kept = client.ask(**next_turn(client, messages))["usage"]["input_tokens"]
    messages[0]["content"] += "."
    dropped = client.ask(**next_turn(client, messages, thinking=DROP))["usage"]["input_tokens"]
    assert kept - 125 < dropped < kept - 110  # three blocks of 40 tokens


def test_an_intact_history_reports_an_empty_list() -> None:
    client = Client()
    answer = client.ask(CONTROLS, **next_turn(client, loop(client)))
    assert answer["input_transformations"] == []


def test_changed_tools_or_system_break_the_binding() -> None:
    client = Client()
    messages = loop(client)
    client.refused(model=NEW, tools=TOOLS, system="new", messages=messages)
    client.refused(model=NEW, tools=[*TOOLS, {"name": "b", "input_schema": {}}], messages=messages)


def test_adding_an_unreferenced_deferred_tool_does_not() -> None:
    client = Client()
    messages = loop(client)
    late = {"name": "b", "input_schema": {}, "defer_loading": True}
    client.ask(model=NEW, tools=[*TOOLS, late], messages=messages)


def test_moving_markers_and_other_parameters_do_not() -> None:
    client = Client()
    messages = loop(client)
    messages[-1]["content"][0]["cache_control"] = {"type": "ephemeral"}
    client.ask(model=NEW, tools=TOOLS, messages=messages, max_tokens=77, metadata={})


def without_thinking(messages: list[dict[str, Any]], turns: set[int]) -> list[dict[str, Any]]:
    """The history with the thinking of some of its assistant turns left out."""
    stripped = deepcopy(messages)
    for turn in turns:
        content = stripped[2 * turn + 1]["content"]
        stripped[2 * turn + 1]["content"] = [b for b in content if b["type"] != "thinking"]
    return stripped


@pytest.mark.parametrize(
    ("turns", "served"),
    [({0, 1, 2}, True), ({0}, True), ({0, 1}, True), ({2}, True), ({1}, False)],
    ids=["all", "the first", "from the start", "the last", "a gap"],
)
def test_thinking_may_be_removed_from_either_end_but_not_in_the_middle(
    turns: set[int], served: bool
) -> None:
    client = Client()
    messages = without_thinking(loop(client), turns)
    request = next_turn(client, messages)
    client.ask(**request) if served else client.refused(**request)


def test_an_edited_summary_is_refused_on_every_model() -> None:
    client = Client()
    thinking = {"type": "enabled", "budget_tokens": 1024}
    fields: dict[str, Any] = {"thinking": thinking, "max_tokens": 5000}
    messages = loop(client, OLD, **fields)
    client.ask(tools=TOOLS, messages=messages, **fields)
    messages[1]["content"][0]["thinking"] += "!"
    error = client.refused(tools=TOOLS, messages=messages, **fields)
    assert error["message"] == "messages.1.content.0: Invalid `signature` in `thinking` block"


def test_older_models_do_not_bind_thinking_to_its_prefix() -> None:
    client = Client()
    fields: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "max_tokens": 5000,
    }
    messages = loop(client, OLD, **fields)
    messages[2]["content"][0]["content"] = "shortened"
    client.ask(tools=TOOLS, messages=messages, **fields)


def old_account(**fields: Any) -> Client:
    born = datetime(2026, 8, 30, tzinfo=UTC)
    account = Account(organization="acme", workspace="default", key_id="k", created_at=born)
    return Client(Emulator(Settings(keys={"sk-emu-acme": account}, **fields)))


@pytest.mark.parametrize(("model", "enforced"), [(NEW, False), ("claude-fable-5-2", True)])
def test_accounts_from_before_september_2026_are_spared_except_on_5_2(
    model: str, enforced: bool
) -> None:
    client = old_account()
    messages = loop(client, model)
    messages[0]["content"] += "."
    request = {"model": model, "tools": TOOLS, "messages": messages}
    client.refused(**request) if enforced else client.ask(**request)


def test_a_model_that_cannot_read_the_blocks_drops_them_silently() -> None:
    client = Client()
    messages = loop(client, "claude-fable-5-2")
    answer = client.ask(CONTROLS, model=NEW, tools=TOOLS, messages=messages)
    reasons = {note["reason"] for note in answer["input_transformations"]}
    assert reasons == {"model_binding_mismatch"}


def test_account_bound_blocks_are_dropped_in_another_organization() -> None:
    client = Client()
    messages = loop(client, "claude-sonnet-5-5")
    other = client.as_key("sk-emu-other")
    answer = other.ask(CONTROLS, model="claude-sonnet-5-5", tools=TOOLS, messages=messages)
    reasons = {note["reason"] for note in answer["input_transformations"]}
    assert reasons == {"organization_binding_mismatch"}


def test_foreign_thinking_is_refused_unless_the_settings_allow_it() -> None:
    foreign = {"type": "thinking", "thinking": "hm", "signature": ""}
    messages = [user(), {"role": "assistant", "content": [foreign]}, user()]
    Client().refused(messages=messages)
    Client(accept_foreign_thinking=True).ask(messages=messages)


def test_earlier_thinking_is_not_input_on_models_that_keep_the_last_turn_only() -> None:
    fields: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "max_tokens": 5000,
    }
    for model, kept in (("claude-haiku-4-5", False), (OLD, True)):
        client = Client()
        messages = loop(client, model, turns=1, **fields)
        messages += [{"role": "assistant", "content": "fine"}, user("next")]
        with_thinking = client.ask(model=model, tools=TOOLS, messages=messages, **fields)
        stripped = without_thinking(messages, {0})
        without = client.ask(model=model, tools=TOOLS, messages=stripped, **fields)
        difference = with_thinking["usage"]["input_tokens"] - without["usage"]["input_tokens"]
        assert (difference > 30) is kept


def test_thinking_tokens_are_inside_the_output_tokens() -> None:
    usage = Client().ask({"x-emulator-answer": "thinking=300 output=50"}, model=NEW)["usage"]
    assert usage["output_tokens_details"]["thinking_tokens"] == 300
    assert 345 < usage["output_tokens"] < 360
