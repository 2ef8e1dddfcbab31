from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.errors import EditConflict, RequestError
from farthing.wire.apply import apply
from farthing.wire.edits import (
    Edit,
    InsertBlock,
    InsertMessage,
    RemoveBlock,
    RemoveField,
    RemoveMessage,
    RemoveTopLevel,
    ReplaceText,
    SetField,
    SetTopLevel,
    mark,
)
from farthing.wire.request import Request
from tests.unit.wire.editing import edit_lists, edited
from tests.unit.wire.spelling import bodies, spelled

BODY = (
    b'{ "model":"m", "system" : "s", "messages":[ {"role":"user","content":"hi"} , '
    b'{"role":"assistant","content":[ {"type":"text","text":"a"} , {"type":"text","text":"b"}]}],'
    b'"x":1.00, "x" : 2 }'
)


def make(*edits: Edit) -> bytes:
    return apply(Request.parse(BODY), edits)


def test_no_edits_give_back_the_very_same_bytes():
    request = Request.parse(BODY)

    assert apply(request, []) is request.body


def test_a_mark_on_a_block_is_the_only_change():
    expected = BODY.replace(b'"text":"b"', b'"text":"b","cache_control":{"type":"ephemeral"}')

    assert make(mark("messages.1.content.1")) == expected


def test_a_mark_on_string_content_makes_it_the_list_it_stands_for():
    marked = b'[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]'

    assert make(mark("messages.0.content", "1h")) == BODY.replace(b'"hi"', marked)


def test_a_field_is_replaced_in_place():
    assert make(SetField("messages.1.content.0", "text", b"1e400")) == BODY.replace(
        b'"text":"a"', b'"text":1e400'
    )


def test_a_field_is_removed_with_one_comma():
    assert make(RemoveField("messages.1.content.0", "type")) == BODY.replace(
        b'{"type":"text","text":"a"}', b'{"text":"a"}'
    )


def test_text_is_replaced_in_a_block_a_string_and_a_tool_result():
    result = b'{"messages":[{"role":"user","content":[{"type":"tool_result","content":[1]}]}]}'
    edited_result = apply(Request.parse(result), [ReplaceText("messages.0.content.0", "r")])

    assert make(ReplaceText("messages.1.content.1", 'é"')) == BODY.replace(
        b'"b"', 'é\\"'.join('""').encode()
    )
    assert make(ReplaceText("messages.0.content", "yo")) == BODY.replace(b'"hi"', b'"yo"')
    assert edited_result == result.replace(b"[1]", b'"r"')


def test_text_replaced_and_marked_in_one_go():
    new = b'[{"type":"text","text":"yo","cache_control":{"type":"ephemeral"}}]'
    edits = (ReplaceText("system", "yo"), mark("system"))

    assert make(*edits) == BODY.replace(b'"s"', new)


def test_blocks_are_inserted_before_between_and_behind():
    new = b'{"type":"x"}'
    path = "messages.1.content"
    edits = [InsertBlock(f"{path}.{index}", new) for index in (0, 1, 2)]
    value = json.loads(make(*edits))["messages"][1]["content"]

    assert [block["type"] for block in value] == ["x", "text", "x", "text", "x"]


def test_blocks_are_inserted_around_string_content():
    edits = (InsertBlock("system", b'{"n":0}'), InsertBlock("system.1", b'{"n":1}'))

    assert json.loads(make(*edits))["system"] == [{"n": 0}, {"type": "text", "text": "s"}, {"n": 1}]


def test_a_block_is_removed_first_last_and_all():
    first, last = RemoveBlock("messages.1.content.0"), RemoveBlock("messages.1.content.1")
    a, b = b'{"type":"text","text":"a"}', b'{"type":"text","text":"b"}'

    assert make(first) == BODY.replace(b" " + a + b" , " + b, b)
    assert make(last) == BODY.replace(b" , " + b, b"")
    assert make(first, last) == BODY.replace(b" " + a + b" , " + b, b"")


def test_string_content_removed_leaves_an_empty_list():
    assert make(RemoveBlock("messages.0.content")) == BODY.replace(b'"hi"', b"[]")


def test_string_content_is_exchanged_for_another_block():
    edits = (RemoveBlock("messages.0.content"), InsertBlock("messages.0.content", b"{}"))

    assert make(*edits) == BODY.replace(b'"hi"', b"[{}]")


def test_messages_are_removed_and_inserted():
    edits = (RemoveMessage(0), InsertMessage(2, b'{"n":2}'), InsertMessage(0, b'{"n":0}'))
    messages = json.loads(make(*edits))["messages"]

    assert [message.get("n", message.get("role")) for message in messages] == [0, "assistant", 2]


def test_a_top_level_field_is_set_replaced_and_removed():
    assert make(SetTopLevel("y", b"[ ]")) == BODY.replace(b": 2 }", b': 2 ,"y":[ ]}')
    assert make(SetTopLevel("model", b"null")) == BODY.replace(b'"m"', b"null")
    assert make(RemoveTopLevel("model")) == BODY.replace(b' "model":"m", ', b"")


def test_of_a_field_given_twice_the_last_is_replaced_and_both_are_removed():
    assert make(SetTopLevel("x", b"3")) == BODY.replace(b'"x" : 2', b'"x" : 3')
    assert b'"x"' not in make(RemoveTopLevel("x"))


def test_fields_are_added_to_an_empty_object():
    assert apply(Request.parse(b" { } "), [SetTopLevel("a", b"1")]) == b' {"a":1 } '


@pytest.mark.parametrize(
    "edits",
    [
        [mark("system"), mark("system")],
        [mark("system"), RemoveField("system", "cache_control")],
        [ReplaceText("messages.0.content", "a"), SetField("messages.0.content", "text", b"1")],
        [RemoveMessage(1), mark("messages.1.content.0")],
        [RemoveMessage(1), RemoveMessage(1)],
        [RemoveBlock("messages.1.content.0"), mark("messages.1.content.0")],
        [RemoveBlock("system"), mark("system")],
        [RemoveTopLevel("messages"), mark("messages.0.content")],
        [SetTopLevel("system", b"1"), mark("system")],
    ],
)
def test_edits_of_the_same_bytes_conflict(edits: list[Edit]):
    for order in (edits, edits[::-1]):
        with pytest.raises(EditConflict):
            make(*order)


@pytest.mark.parametrize(
    "edit",
    [
        mark("tools.0"),
        mark("system.0"),
        mark("messages.2.content.0"),
        mark("messages.0.content.1"),
        mark("messages.00.content"),
        mark("messages.0"),
        RemoveField("messages.1.content.0", "absent"),
        RemoveField("system", "text"),
        RemoveTopLevel("absent"),
        InsertMessage(3, b"{}"),
        InsertMessage(-1, b"{}"),
        RemoveMessage(2),
        InsertBlock("messages.1.content.3", b"{}"),
        InsertBlock("tools.0", b"{}"),
        InsertBlock("messages.7.content.0", b"{}"),
    ],
)
def test_an_edit_without_a_target_is_a_conflict(edit: Edit):
    with pytest.raises(EditConflict):
        make(edit)


def test_a_message_without_content_takes_no_block():
    request = Request.parse(b'{"messages":[{"role":"user"}]}')

    with pytest.raises(EditConflict, match="set the field instead"):
        apply(request, [InsertBlock("messages.0.content.0", b"{}")])


def test_a_request_without_messages_takes_no_message():
    for body in (b"{}", b'{"messages":null}'):
        with pytest.raises(EditConflict, match="no messages"):
            apply(Request.parse(body), [InsertMessage(0, b"{}")])


def test_an_empty_conversation_takes_a_first_message():
    assert (
        apply(Request.parse(b'{"messages": [ ]}'), [InsertMessage(0, b"{}")])
        == b'{"messages": [{} ]}'
    )


def test_a_block_without_text_has_none_to_replace():
    request = Request.parse(b'{"tools":[{"name":"f"}]}')

    with pytest.raises(EditConflict, match="no text"):
        apply(request, [ReplaceText("tools.0", "x")])


@pytest.mark.parametrize(
    "edit",
    [
        SetTopLevel("x", b"nul"),
        SetField("system", "x", b'"\xff"'),
        InsertMessage(0, b"3"),
        InsertBlock("messages.1.content.0", b"[]"),
    ],
)
def test_a_value_that_is_no_json_or_no_object_is_refused(edit: Edit):
    with pytest.raises(RequestError):
        make(edit)


@st.composite
def edited_requests(draw: st.DrawFn) -> tuple[Any, bytes, list[Edit]]:
    value = draw(bodies())
    raw = draw(spelled(value))
    return value, raw, draw(edit_lists(Request.parse(raw)))


@given(edited_requests())
def test_edits_change_what_they_name_and_nothing_else(case: tuple[Any, bytes, list[Edit]]):
    value, raw, edits = case

    assert json.loads(apply(Request.parse(raw), edits)) == edited(value, edits)


@given(edited_requests())
def test_the_bytes_of_untouched_parts_stay(case: tuple[Any, bytes, list[Edit]]):
    _, raw, edits = case
    request = Request.parse(raw)
    touched = {getattr(edit, "address", None) for edit in edits}
    after = apply(request, edits)

    for block in request.blocks:
        gone = any(
            isinstance(e, RemoveMessage) and block.address.startswith(f"messages.{e.index}.")
            for e in edits
        )
        container = block.address if block.is_string else block.address.rpartition(".")[0]
        rewritten = block.is_string and any((a or "").startswith(container) for a in touched)
        if block.address not in touched and not gone and not rewritten:
            assert block.raw in after


@given(edited_requests(), st.randoms(use_true_random=False))
def test_the_order_of_edits_does_not_matter(case: tuple[Any, bytes, list[Edit]], random: Any):
    _, raw, edits = case
    shuffled = random.sample(edits, len(edits))

    one = json.loads(apply(Request.parse(raw), edits))
    assert one == json.loads(apply(Request.parse(raw), shuffled))


@given(edited_requests())
def test_what_was_edited_reads_on_as_the_next_turn(case: tuple[Any, bytes, list[Edit]]):
    _, raw, edits = case
    request = Request.parse(raw)
    assert request.blocks is not None
    after = apply(request, edits)

    resumed, fresh = Request.parse(after, after=request), Request.parse(after)
    assert [b.raw for b in resumed.blocks] == [b.raw for b in fresh.blocks]
