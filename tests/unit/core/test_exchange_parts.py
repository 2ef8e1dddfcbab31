"""The small values around an exchange: plan, tap, call."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from farthing.core import exchange_tap
from farthing.core.exchange_plan import Plan, plan_cache_auto, plan_nothing
from farthing.core.exchange_tap import BatchLines, Tap
from farthing.pricing import traits
from farthing.wire.meter import StreamMeter
from farthing.wire.models import ModelTraits
from farthing.wire.request import Request
from farthing.wire.validity import check
from tests.unit.driver.talks import FakeUpstream, Talk, body, call, message, setup, stream
from tests.unit.wire.validity.conversation_cases import CASES as CONVERSATION
from tests.unit.wire.validity.parameter_cases import CASES as PARAMETERS
from tests.unit.wire.validity.prompt_cases import CASES as PROMPT

OPUS = traits("claude-opus-5-5")
LONG = [{"role": "user", "content": "What is a farthing? " * 50}]
MARK = {"type": "ephemeral"}


def plan(**fields: Any) -> Plan:
    return plan_cache_auto(Request.parse(body(**{"messages": LONG} | fields)), OPUS)


def test_no_lever_is_the_identity():
    request = Request.parse(body())

    assert plan_nothing(request, None) == Plan(body=request.body)
    assert plan_nothing(request, None).is_empty


def test_a_client_that_marks_nothing_gets_the_providers_own_caching():
    planned = plan()

    assert planned.reasons == ("+cache.auto",)
    assert json.loads(planned.body) == json.loads(body(messages=LONG)) | {"cache_control": MARK}
    assert not planned.is_empty


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"cache_control": MARK}, "client_marks"),
        ({"cache_control": None}, "client_marks"),
        ({"system": [{"type": "text", "text": "x", "cache_control": MARK}]}, "client_marks"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"messages": [{"role": "user", "content": "short"}]}, "too_short"),
        ({"messages": [{"role": "user", "content": []}], "pad": "x" * 999}, None),
    ],
)
def test_what_is_declined_says_why_and_leaves_the_bytes(fields: dict[str, Any], why: str | None):
    planned = plan(**fields)

    if why is None:
        return
    assert planned.reasons == (f"-cache.auto:{why}",)
    assert planned.body == body(**{"messages": LONG} | fields)


def test_a_text_that_speaks_of_marks_is_no_mark():
    spoken = [{"role": "user", "content": 'write "cache_control" here ' * 40}]

    assert plan(messages=spoken).reasons == ("+cache.auto",)


def test_an_unknown_model_is_left_alone():
    request = Request.parse(body(messages=LONG))

    assert plan_cache_auto(request, None).reasons == ("-cache.auto:unknown_model",)


EXAMPLES = [
    pytest.param(json.dumps(example).encode(), case.traits, id=f"{case}-{kind}")
    for case in (*CONVERSATION, *PROMPT, *PARAMETERS)
    for kind, example in (("broken", case.broken), ("kept", case.kept))
    if case.traits is not None
]


@pytest.mark.parametrize(("sent", "model"), EXAMPLES)
def test_automatic_caching_breaks_no_rule_that_the_client_keeps(sent: bytes, model: ModelTraits):
    request = Request.parse(sent)
    planned = plan_cache_auto(request, replace(model, min_cacheable_tokens=0))

    before = {found.code for found in check(request, model)}
    after = {found.code for found in check(Request.parse(planned.body), model)}

    assert after <= before


def test_a_request_with_strange_content_is_left_alone():
    request = Request.parse(body(messages=[7], note="cache_control" * 99))

    assert plan_cache_auto(request, OPUS).reasons == ("-cache.auto:unreadable",)


def test_the_plan_that_was_made_is_what_is_sent_and_on_record():
    talk = Talk(setup=setup(planner=plan_cache_auto))
    upstream = FakeUpstream([message()])

    talk.run(call(body(messages=LONG)), upstream)

    assert b'"cache_control"' in upstream.sent[0]
    settled = talk.row().settlement
    assert settled is not None
    assert (settled.plan, settled.baseline_pico) == (("+cache.auto",), None)


@pytest.mark.parametrize(("flag", "is_bypassed"), [("1", True), ("true", True), ("0", False)])
def test_a_client_can_have_its_bytes_left_alone(flag: str, is_bypassed: bool):
    talk = Talk(setup=setup(planner=plan_cache_auto))
    upstream = FakeUpstream([message()])

    talk.run(call(body(messages=LONG), x_farthing_bypass=flag), upstream)

    assert (upstream.sent[0] == body(messages=LONG)) is is_bypassed


def test_counting_is_never_planned():
    talk = Talk(setup=setup(planner=plan_cache_auto))
    upstream = FakeUpstream([b"{}"])

    talk.run(call(body(messages=LONG), path="/v1/messages/count_tokens"), upstream)

    assert upstream.sent == [body(messages=LONG)]


def test_a_call_shows_no_content():
    assert "farthing?" not in repr(call())


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_lines_are_read_wherever_they_are_cut(cut: int):
    lines = BatchLines()
    text = b"".join(b'{"custom_id":"%d","result":{"type":"expired"}}\n\n' % n for n in range(300))

    for at in range(0, len(text), cut):
        lines.feed(text[at : at + cut])
    lines.finish()

    assert lines.is_full
    assert [found.custom_id for found in lines.take()] == [str(n) for n in range(300)]
    assert not lines.is_full


@pytest.mark.parametrize(("spare", "unreadable"), [(0, 0), (-1, 1)])
def test_a_line_beyond_the_limit_is_passed_over(monkeypatch, spare: int, unreadable: int):
    line = b'{"custom_id":"a","result":{"type":"expired"}}'
    monkeypatch.setattr(exchange_tap, "_LONGEST_LINE", len(line) + spare)
    lines = BatchLines()

    lines.feed(line + b"\n")

    assert lines.unreadable == unreadable


class Half:
    """Holds back every chunk but the last."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def decode(self, chunk: bytes) -> bytes:
        self.kept.append(chunk)
        return b"".join(self.kept) if chunk.startswith(b"event: message_stop") else b""


def test_a_decoder_may_hold_bytes_back():
    meter = StreamMeter()
    tap = Tap(meter, Half())

    for chunk in stream():
        tap.feed(chunk)

    assert meter.final_usage_seen
    assert tap.response_bytes == len(b"".join(stream()))
