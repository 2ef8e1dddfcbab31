"""The provider as a referee: when it is asked, what it says, who is right."""

from __future__ import annotations

import pytest

from farthing.core.diagnostics import Referee, ask, is_sampled, read_reason
from farthing.wire.apply import apply
from farthing.wire.request import Request


def test_a_lineage_is_sampled_or_not_for_ever_and_in_proportion():
    sampled = [n for n in range(2_000) if is_sampled(f"lineage-{n}", 0.1)]
    assert 140 < len(sampled) < 260
    assert all(is_sampled(f"lineage-{n}", 0.2) for n in sampled)
    assert is_sampled("x", 1.0)
    assert not is_sampled("x", 0.0)


@pytest.mark.parametrize(("previous", "value"), [(None, b"null"), ("msg_1", b'"msg_1"')])
def test_asking_names_the_answer_before(previous, value):
    request = Request.parse(b'{"model":"m"}')
    edit = ask(request, previous)
    assert edit is not None
    assert apply(request, [edit]) == (
        b'{"model":"m","diagnostics":{"previous_message_id":%b}}' % value
    )


@pytest.mark.parametrize("body", [b'{"diagnostics":null}', b'{"thread":{"type":"continue"}}'])
def test_a_client_that_asks_or_uses_threads_is_left_alone(body):
    assert ask(Request.parse(body), None) is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b'{"diagnostics":{"cache_miss_reason":{"type":"tools_changed"}}}', "tools_changed"),
        (b'{"diagnostics":{"cache_miss_reason":{"type":"unavailable"}}}', None),
        (b'{"diagnostics":{"cache_miss_reason":null}}', None),
        (b'{"diagnostics":null}', None),
        (b"{}", None),
        (b"no json", None),
    ],
)
def test_the_reason_is_read_from_an_answer(message, reason):
    assert read_reason(message) == reason


def test_agreement_and_disagreement_are_counted_by_pair():
    referee = Referee()
    assert referee.judge("tools", "tools_changed") is True
    assert referee.judge("parameters", "model_changed") is True
    assert referee.judge("system", "tools_changed") is False
    assert referee.judge(None, "messages_changed") is False
    assert referee.agreed == 2
    assert referee.disagreed == {("system", "tools_changed"): 1, ("none", "messages_changed"): 1}


def test_where_one_side_has_nothing_to_say_nothing_is_counted():
    referee = Referee()
    assert referee.judge("tools", None) is None
    assert referee.judge("ttl", "messages_changed") is None
    assert (referee.agreed, referee.disagreed) == (0, {})
