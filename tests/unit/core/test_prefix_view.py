from __future__ import annotations

import json
from typing import Any

import pytest

from farthing.core.estimate import BlockMemo
from farthing.core.prefix import Mark
from farthing.core.prefix_view import marks_of, view_of
from farthing.pricing import traits
from farthing.wire.fingerprint import fingerprint
from farthing.wire.request import Request

MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def user(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def request(**fields: Any) -> Request:
    body = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [user(text("hi"))], **fields}
    return Request.parse(json.dumps(body).encode())


def viewed(asked: Request, **changes: Any):
    known = traits(asked.model or "claude-opus-5-5")
    assert known is not None
    return view_of(asked, fingerprint(asked, known), known, memo=BlockMemo(), **changes)


def test_explicit_marks_are_found_in_render_order():
    asked = request(
        messages=[user(text("a"), text("b", **MARK))], system=[text("s", **HOUR), text("t")]
    )

    assert marks_of(asked) == (Mark(index=0, ttl="1h"), Mark(index=3, ttl="5m"))


def test_the_automatic_mark_stands_on_the_last_block():
    asked = request(cache_control={"type": "ephemeral", "ttl": "1h"})

    assert marks_of(asked) == (Mark(index=0, ttl="1h"),)


@pytest.mark.parametrize(
    "automatic", [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": None}, None]
)
def test_the_automatic_mark_lives_five_minutes_unless_told(automatic):
    marks = marks_of(request(cache_control=automatic))

    assert marks == ((Mark(index=0),) if automatic else ())


def test_the_automatic_mark_adds_nothing_to_a_marked_last_block():
    asked = request(messages=[user(text("a", **MARK))], **MARK)

    assert marks_of(asked) == (Mark(index=0),)


def test_the_automatic_mark_walks_back_over_what_cannot_carry_one():
    thought = {"type": "thinking", "thinking": "t", "signature": "s"}
    asked = request(
        messages=[user(text("a")), {"role": "assistant", "content": [thought]}, user(text(""))],
        **MARK,
    )

    assert marks_of(asked) == (Mark(index=0),)


def test_nothing_that_can_carry_a_mark_means_no_mark():
    assert marks_of(request(messages=[user(text(""))], **MARK)) == ()


def test_positions_add_up_to_the_estimate_of_the_whole():
    asked = request(
        tools=[{"name": "f", "input_schema": {"type": "object"}}],
        system="be kind",
        messages=[user(text("hello " * 50))],
    )
    view = viewed(asked, scope="w")

    assert list(view.positions) == sorted(view.positions)
    assert view.positions[-1] == view.total_tokens
    assert view.positions[0] > 200  # the provider's own prompt for tools stands before them
    assert (view.tools_end, view.system_end, view.scope) == (1, 2, "w")
    assert view.min_cacheable_tokens == 512


def test_a_request_without_blocks_is_empty():
    assert viewed(request(messages=[])).positions == []


def test_thinking_that_the_model_drops_takes_no_tokens():
    thought = {"type": "thinking", "thinking": "long " * 500, "signature": "s"}
    messages = [
        user(text("a")),
        {"role": "assistant", "content": [thought, text("b")]},
        user(text("c")),
    ]
    old = viewed(request(model="claude-sonnet-4-5", messages=messages))
    new = viewed(request(messages=messages))

    assert old.positions[1] == old.positions[0]
    assert new.positions[1] > new.positions[0] + 400


def test_a_weigher_replaces_the_plain_tally():
    asked = request()

    assert viewed(asked, weigh=lambda tally: 2 * tally.total).total_tokens == pytest.approx(
        2 * viewed(asked).total_tokens, abs=1
    )


def test_server_tools_and_their_results_are_seen():
    tool = {"type": "web_search_20250305", "name": "web_search"}
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    own = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
    view = viewed(
        request(
            tools=[tool],
            messages=[user(text("a")), {"role": "assistant", "content": [call, found]}, user(own)],
        )
    )

    assert view.server_tools
    assert view.server_results == (3,)
    assert not viewed(request()).server_tools
