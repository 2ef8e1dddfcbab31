"""Which edits survive where thinking is bound to its prefix: the levers' first test bed, over HTTP.

What docs/levers.md says on its first page is what these tests show. Rules: API facts 6.5, and the
emulator's own account of them (``lab/emulator/thinking.py``), which shares no code with the levers.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from farthing.core.diagnostics import ask as ask_diagnostics
from farthing.core.levers import LEVERS
from farthing.core.pins import RepairChoice
from farthing.core.repairs import repair
from farthing.lab.emulator import emulator
from farthing.pricing import traits
from farthing.wire.apply import apply
from farthing.wire.edits import Edit, RemoveBlock, ReplaceText, SetTopLevel, mark
from farthing.wire.request import Request

#: bound for accounts made since 2026-08-31, and bound for everybody
MODELS = ("claude-opus-5-5", "claude-fable-5-2")
TOOLS = [
    {"name": "write", "input_schema": {"type": "object", "properties": {}}},
    {"name": "read", "input_schema": {"type": "object", "properties": {}}},
]
SYSTEM = "You are careful.\nToday is 2026-11-21.\n"
RESULT = "line of a long result " * 40

#: what is done to a request before it is sent; None: nothing
Treatment = Callable[[Request], bytes]


def as_it_is(request: Request) -> bytes:
    return request.body


def edited(*edits: Edit) -> Treatment:
    return lambda request: apply(request, edits)


def repaired(lever: str, place: str = "") -> Treatment:
    def made(request: Request) -> bytes:
        known = traits(request.model or "")
        assert known is not None
        found = repair(request, known, [RepairChoice(lever=lever, place=place)])
        assert found.applied == (lever,), found.declined
        return found.request.body

    return made


class Agent:
    """A tool loop whose requests all go through a treatment; turn 1 is the first request."""

    def __init__(self, url: str, model: str) -> None:
        self._url = url
        self._model = model
        self._messages: list[Any] = [
            {"role": "user", "content": "[[emulator: tools=9 thinking=40]] go"}
        ]

    def turn(self, treat: Treatment = as_it_is) -> tuple[int, str]:
        """Status, and the error's message; the answer and its tool results join the history."""
        body = {
            "model": self._model,
            "max_tokens": 2_000,
            "system": SYSTEM,
            "tools": TOOLS,
            "messages": self._messages,
        }
        status, answer = self._post(treat(Request.parse(json.dumps(body).encode())))
        if status != 200:
            return status, answer["error"]["message"]
        self._messages.append({"role": "assistant", "content": answer["content"]})
        calls = [each["id"] for each in answer["content"] if each["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": id_, "content": RESULT} for id_ in calls]
        self._messages.append({"role": "user", "content": results})
        assert any(each["type"] == "thinking" for each in answer["content"])
        return status, ""

    def _post(self, body: bytes) -> tuple[int, Any]:
        headers = {
            "x-api-key": "sk-emu-acme",
            "anthropic-version": "2023-06-01",
            "content-type": "application/json",
        }
        request = urllib.request.Request(f"{self._url}/v1/messages", body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One emulator for all: conversations do not see one another."""
    with emulator() as running:
        yield running.url


@pytest.fixture(params=MODELS)
def agent(request: pytest.FixtureRequest, url: str) -> Agent:
    return Agent(url, request.param)


def last_result(request: Request) -> str:
    return request.messages[-1].blocks[0].address


def shortened(request: Request) -> bytes:
    """Every tool result in its short form: a function of the request, from its first entry on."""
    places = [block.address for block in request.blocks if block.kind == "tool_result"]
    return apply(request, [ReplaceText(place, "short") for place in places])


MARKS: dict[str, Treatment] = {
    "automatic mark": edited(SetTopLevel("cache_control", b'{"type":"ephemeral"}')),
    "mark on the tools": edited(mark("tools.1", "1h")),
    "mark on the tail": lambda request: apply(request, [mark(last_result(request), "5m")]),
    "another lifetime": lambda request: apply(request, [mark(last_result(request), "1h")]),
    "diagnostics": lambda request: apply(
        request, [edit for edit in [ask_diagnostics(request, None)] if edit]
    ),
}


@pytest.mark.parametrize("treat", MARKS.values(), ids=MARKS)
def test_marks_may_come_move_and_go_at_any_turn(agent, treat):
    assert [agent.turn()[0], agent.turn()[0], agent.turn(treat)[0], agent.turn()[0]] == [200] * 4


def test_content_edited_at_its_first_entry_and_ever_after_survives(agent):
    assert [agent.turn(shortened)[0] for _ in range(4)] == [200] * 4


REPAIRS: dict[str, Treatment] = {
    "repair.tools_order": repaired("repair.tools_order"),
    "repair.volatile_system": repaired("repair.volatile_system", "head"),
}


@pytest.mark.parametrize("treat", REPAIRS.values(), ids=REPAIRS)
def test_a_repair_made_from_the_first_request_on_survives(agent, treat):
    assert [agent.turn(treat)[0] for _ in range(4)] == [200] * 4


@pytest.mark.parametrize("treat", REPAIRS.values(), ids=REPAIRS)
def test_a_repair_taken_up_or_dropped_in_mid_conversation_is_refused(url, treat):
    for turns in ((as_it_is, treat), (treat, as_it_is)):
        agent = Agent(url, MODELS[0])
        assert agent.turn(turns[0])[0] == 200
        status, message = agent.turn(turns[1])
        assert status == 400
        assert "bound to a different conversation" in message


LATE: dict[str, Treatment] = {
    "a result shortened later": shortened,
    "a system prompt edited": edited(ReplaceText("system", "You are kind.")),
    "a tool removed": edited(RemoveBlock("tools.0")),
}


@pytest.mark.parametrize("treat", LATE.values(), ids=LATE)
def test_content_edited_after_its_first_entry_is_refused(agent, treat):
    assert [agent.turn()[0], agent.turn()[0]] == [200, 200]
    status, message = agent.turn(treat)
    assert status == 400
    assert "bound to a different conversation" in message


def test_every_lever_that_changes_content_is_pinned_to_first_entries():
    """The conclusion, as the table holds it."""
    content = {"tools", "system", "messages"}
    assert all(lever.pinned == "content" for lever in LEVERS.values() if lever.touches & content)
