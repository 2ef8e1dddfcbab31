"""Message threads: API facts, section 4.8."""

from __future__ import annotations

from typing import Any

import pytest

from farthing.lab.emulator import LatencyProfile
from tests.unit.lab.emulator.talking import OLD, Client, long_text, user

BETA = {"anthropic-beta": "message-threads-2026-08-12"}


def created(client: Client, **fields: Any) -> str:
    answer = client.ask(BETA, thread={"type": "create"}, system="be brief", **fields)
    return str(answer["id"])


def continued(previous: str, **fields: Any) -> dict[str, Any]:
    thread = {"type": "continue", "previous_message_id": previous}
    return {"thread": thread, "messages": [user("and then?")], **fields}


def test_a_continue_is_billed_for_the_whole_conversation() -> None:
    client = Client()
    first = [user("word " * 500)]
    whole = client.ask(BETA, thread={"type": "create"}, system="be brief", messages=first)
    more = client.ask(BETA, **continued(whole["id"]))
    assert more["usage"]["input_tokens"] > whole["usage"]["input_tokens"] > 500


def test_a_chain_of_continues_grows() -> None:
    client = Client()
    previous, sizes = created(client), []
    for _ in range(3):
        answer = client.ask(BETA, **continued(previous))
        previous = answer["id"]
        sizes.append(answer["usage"]["input_tokens"])
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(("seconds", "served"), [(299, True), (300, False)])
def test_a_thread_lives_five_minutes(seconds: float, served: bool) -> None:
    client = Client()
    previous = created(client)
    client.wait(seconds)
    if served:
        client.ask(BETA, **continued(previous))
    else:
        error = client.refused(BETA, **continued(previous))
        assert (error["status"], error["details"]["error_code"]) == (404, "thread_not_found")


def test_another_workspace_does_not_find_it() -> None:
    client = Client()
    previous = created(client)
    error = client.as_key("sk-emu-acme.other").refused(BETA, **continued(previous))
    assert error["details"]["error_code"] == "thread_not_found"


def test_a_reply_can_be_continued_once() -> None:
    client = Client()
    previous = created(client)
    client.ask(BETA, **continued(previous))
    error = client.refused(BETA, **continued(previous))
    assert (error["status"], error["details"]["error_code"]) == (400, "thread_already_continued")


def test_a_reply_that_is_still_streaming_cannot_be_continued() -> None:
    client = Client(latency=LatencyProfile(seconds_per_output_token=0.1))
    previous = created(client)
    error = client.refused(BETA, **continued(previous))
    assert error["details"]["error_code"] == "thread_continue_in_flight"
    client.wait(60)
    client.ask(BETA, **continued(previous))


def test_another_model_does_not_fit_the_thread() -> None:
    client = Client()
    error = client.refused(BETA, **continued(created(client), model="claude-opus-4-6"))
    assert error["details"]["error_code"] == "thread_fingerprint_mismatch"


def test_unsupported_features_are_named() -> None:
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    error = Client().refused(BETA, thread={"type": "create"}, context_management=edits)
    assert error["details"]["error_code"] == "thread_unsupported_request"
    assert error["details"]["unsupported"] == ["context_management"]


@pytest.mark.parametrize("repeated", [{"system": "again"}, {"tools": []}], ids=str)
def test_a_continue_must_not_repeat_what_the_thread_holds(repeated: dict[str, Any]) -> None:
    client = Client()
    client.refused(BETA, **continued(created(client), **repeated))


@pytest.mark.parametrize("thread", ["create", {"type": "fork"}], ids=str)
def test_an_odd_thread_is_refused(thread: Any) -> None:
    Client().refused(BETA, thread=thread)


def test_threads_need_their_beta() -> None:
    Client().refused(thread={"type": "create"})


def test_a_thread_does_not_cache_by_itself_but_its_prompt_can_be() -> None:
    client = Client()
    answer = client.ask(BETA, thread={"type": "create"}, model=OLD, system=[long_text()])
    assert answer["usage"]["cache_creation_input_tokens"] > 6000
    more = client.ask(BETA, **continued(answer["id"]))
    assert more["usage"]["cache_read_input_tokens"] > 6000


def test_marks_of_earlier_turns_do_not_pile_up() -> None:
    client = Client()
    marked = [{"role": "user", "content": [long_text(10)]}]
    previous = created(client, messages=marked)
    for _ in range(5):
        previous = client.ask(BETA, **continued(previous, messages=marked))["id"]
