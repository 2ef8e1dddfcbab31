"""Which conversations are refused: API facts, section 8, rules by number."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.emulator.talking import NEW, OLD, Client, user

TOOLS = [{"name": "read", "input_schema": {"type": "object"}}]


def said(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def call(identifier: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": identifier, "name": "read", "input": {}}


def result(identifier: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identifier, **more}


def results(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


TEXT = {"type": "text", "text": "and now?"}


@pytest.mark.parametrize(
    "messages",
    [
        [user(), said(call("a")), results(result("a"))],
        [user(), said(call("a"), call("b")), results(result("b"), result("a"), TEXT)],
        [user(), said(call("a")), results(result("a", content="")), said(TEXT), user()],
        [user(), said(call("a")), results(result("a", content=[], is_error=True))],
        [user(), user()],
        [user(), said(call("a")), said(call("b")), results(result("a")), results(result("b"))],
        [user(), said(), user()],
        [user(), {"role": "assistant", "content": ""}, user()],
    ],
    ids=lambda messages: str(len(messages)),
)
def test_valid_conversations_are_served(messages: list[Any]) -> None:
    Client().ask(tools=TOOLS, messages=messages)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "at least one message"),
        ([said(TEXT), user()], 'first message must use the "user" role'),
        (
            [user(), said(call("a")), user()],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately",
        ),
        ([user(), said(call("a"), call("b")), results(result("a"))], "immediately after: b"),
        ([user(), said(TEXT), results(result("x"))], "unexpected `tool_use_id` found"),
        (
            [user(), said(call("a")), results(result("a")), said(TEXT), results(result("a"))],
            "unexpected `tool_use_id` found",
        ),
        ([user(), said(call("a")), results(TEXT, result("a"))], "must come first"),
        ([user(), said(call("a")), results(result("a"), result("a"))], "single result"),
        ([user(), said(call("a"), call("a")), results(result("a"))], "must be unique"),
        ([user(""), said(TEXT), user()], "must have non-empty content"),
        ([user("  \n")], "non-whitespace text"),
        ([results({"type": "text", "text": ""}, TEXT)], "must be non-empty"),
        ([{"role": "tool", "content": "x"}], "messages.0.role"),
        ([results({"text": "no type"})], "messages.0.content.0.type: Field required"),
        ([results({"type": "text"})], "messages.0.content.0.text.text: Field required"),
        ([{"role": "user", "content": 7}], "content"),
    ],
)
def test_invalid_conversations_are_refused_in_known_words(messages: list[Any], words: str) -> None:
    error = Client().refused(tools=TOOLS, messages=messages)
    assert words in error["message"]
    assert error["status"] == 400


def test_an_unanswered_tool_use_at_the_end_is_refused() -> None:
    error = Client().refused(tools=TOOLS, messages=[user(), said(call("a"))])
    assert "ids were found without" in error["message"]


@pytest.mark.parametrize(
    ("model", "served"), [(OLD, True), ("claude-opus-4-6", False), (NEW, False)]
)
def test_prefill_is_refused_from_4_6_on(model: str, served: bool) -> None:
    fields = {"model": model, "messages": [user(), said(TEXT)]}
    if served:
        Client().ask(**fields)
        return
    assert Client().refused(**fields)["message"] == (
        "This model does not support assistant message prefill. The conversation must end with a "
        "user message."
    )


def test_a_prefill_may_not_end_in_whitespace() -> None:
    Client().refused(messages=[user(), {"role": "assistant", "content": "so "}])


@pytest.mark.parametrize(
    ("model", "messages", "served"),
    [
        (NEW, [user(), {"role": "system", "content": "be brief"}], True),
        ("claude-sonnet-5", [user(), {"role": "system", "content": "be brief"}], False),
        (NEW, [{"role": "system", "content": "be brief"}, user()], False),
        (NEW, [user(), {"role": "system", "content": "brief"}, user()], False),
    ],
)
def test_a_system_message_follows_a_user_turn_where_the_model_takes_one(
    model: str, messages: list[Any], served: bool
) -> None:
    fields = {"model": model, "messages": messages}
    Client().ask(**fields) if served else Client().refused(**fields)


def test_version_2026_10_21_refuses_documents_of_the_assistant_and_citations_of_the_user() -> None:
    new = {"anthropic-version": "2026-10-21"}
    page = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    cited = results({**TEXT, "citations": [{"type": "char_location"}]})
    for messages in ([user(), said(page), user()], [cited]):
        Client().ask(messages=messages)
        Client().refused(new, messages=messages)


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([*TOOLS, *TOOLS], "unique"),
        ([{**TOOLS[0], "defer_loading": True}], "defer_loading"),
        ([{"description": "nameless"}], "tools.0.name"),
    ],
)
def test_tools_are_named_once_and_not_all_deferred(tools: list[Any], words: str) -> None:
    assert words in Client().refused(tools=tools)["message"]


@pytest.mark.parametrize(
    ("system", "served"),
    [("", True), ("be brief", True), ([{"type": "text", "text": ""}], False), (7, False),
     ([{"type": "image", "source": {}}], False)],
)  # fmt: skip
def test_an_empty_system_string_is_fine_and_an_empty_block_is_not(
    system: Any, served: bool
) -> None:
    Client().ask(system=system) if served else Client().refused(system=system)


def test_deferred_tools_are_not_in_the_prompt() -> None:
    big = {"name": "big", "description": "with " * 500, "input_schema": {}, "defer_loading": True}
    client = Client()
    without = client.ask(tools=TOOLS)["usage"]["input_tokens"]
    assert client.ask(tools=[*TOOLS, big])["usage"]["input_tokens"] == without
