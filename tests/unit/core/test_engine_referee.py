"""Who asks the provider for its diagnostics, and what becomes of the answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from farthing.core import engine_referee
from farthing.core.diagnostics import AGREED_NOTE, DISAGREED_NOTE
from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.engine_values import Caller, EngineAnswer, EngineCall
from farthing.core.policy import policy_of
from farthing.core.records import Attribution
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = "claude-opus-5-5"
SYSTEM = "You review changes. " * 1_000
READ = Usage(uncached=10, cache_read=4_000, output=5)
UNREAD = Usage(uncached=10, cache_write_5m=4_000, output=5)
CHANGED = b'{"cache_miss_reason":{"type":"system_changed","cache_missed_input_tokens":9}}'


def engine(*, share: float, on: tuple[str, ...] = ("cache.diagnostics",)) -> Engine:
    return Engine(
        EngineSetup(
            policy=policy_of("safe", on=on),
            engine_version="1",
            install_key=b"k" * 32,
            prices=catalog(),
            diagnosed=share,
        )
    )


def turn(
    made: Engine, number: int, usage: Usage, *, task: str = "t", system: str = SYSTEM, **given: Any
) -> tuple[dict[str, Any], EngineCall]:
    """One turn of a conversation; what was sent, and the call with its notes."""
    messages: list[Any] = [{"role": "user", "content": "step 0"}]
    for before in range(number):
        messages.append({"role": "assistant", "content": f"done {before}"})
        messages.append({"role": "user", "content": f"step {before + 1}"})
    body = {"model": MODEL, "max_tokens": 5, "system": system, "messages": messages}
    body |= given.pop("fields", {})
    now = NOON + timedelta(seconds=10 * number)
    owner = Attribution(task_id=task, root_task_id=task, key_scope="k", source="header")
    caller = Caller(
        attribution=owner, key=None, levers=None, is_bypassed=False, is_subscription=False, now=now
    )
    call = made.begin(made.read(json.dumps(body).encode(), {}), caller)
    assert call is not None
    made.choose(call, None)
    plan = made.shape(call)
    made.accounts.began(call, now)
    card = catalog().require(MODEL, on=now)
    answer = EngineAnswer(
        usage=usage,
        cost=price(usage, card),
        card=card,
        stop_reason="end_turn",
        message_id=f"msg_{number}",
        **given,
    )
    made.ended(call, answer, now)
    sent: dict[str, Any] = json.loads(plan.body)
    return sent, call


def test_a_lineage_of_the_sample_asks_from_its_first_request_and_names_the_answer_before():
    made = engine(share=1.0)

    first, _ = turn(made, 0, UNREAD)
    second, _ = turn(made, 1, READ)
    assert first["diagnostics"] == {"previous_message_id": None}
    assert second["diagnostics"] == {"previous_message_id": "msg_0"}


@pytest.mark.parametrize(
    ("share", "on"), [(0.0, ("cache.diagnostics",)), (1.0, ())], ids=["not sampled", "not named"]
)
def test_who_is_not_of_the_sample_or_did_not_name_the_lever_does_not_ask(share, on):
    made = engine(share=share, on=on)

    assert "diagnostics" not in turn(made, 0, UNREAD)[0]
    assert "diagnostics" not in turn(made, 1, READ)[0]


def test_after_a_surprise_a_lineage_asks_for_good():
    made = engine(share=0.0)
    turn(made, 0, UNREAD)
    turn(made, 1, UNREAD)  # the model foresaw a read

    asked = [turn(made, number, READ)[0].get("diagnostics") for number in (2, 3)]
    assert asked == [{"previous_message_id": None}, {"previous_message_id": "msg_2"}]


def test_a_cause_that_both_name_is_agreed_and_another_one_is_counted_by_pair():
    made = engine(share=1.0)
    turn(made, 0, UNREAD)
    _, agreed = turn(made, 1, UNREAD, system=f"other {SYSTEM}", diagnostics=CHANGED)
    _, other = turn(
        made, 2, UNREAD, system=f"third {SYSTEM}", diagnostics=CHANGED.replace(b"system", b"tools")
    )

    assert agreed.notes == [AGREED_NOTE]
    assert other.notes == [f"{DISAGREED_NOTE}system:tools_changed"]
    assert made.referee.referee.agreed == 1


def test_a_reason_where_we_saw_no_miss_is_a_disagreement():
    made = engine(share=1.0)
    turn(made, 0, UNREAD)
    _, call = turn(made, 1, READ, diagnostics=CHANGED)

    assert call.notes == [f"{DISAGREED_NOTE}none:system_changed"]


@pytest.mark.parametrize(
    "said", [b'{"cache_miss_reason":null}', b'{"cache_miss_reason":{"type":"unavailable"}}', b"[]"]
)
def test_what_names_no_reason_is_no_verdict(said):
    made = engine(share=1.0)
    turn(made, 0, UNREAD)

    assert turn(made, 1, UNREAD, diagnostics=said)[1].notes == []


def test_a_client_that_asks_itself_is_left_alone_and_judged_as_well():
    made = engine(share=1.0)
    asked = {"diagnostics": {"previous_message_id": "msg_own"}}
    turn(made, 0, UNREAD, fields={"diagnostics": {"previous_message_id": None}})
    sent, call = turn(made, 1, UNREAD, system=f"other {SYSTEM}", fields=asked, diagnostics=CHANGED)

    assert sent["diagnostics"] == asked["diagnostics"]
    assert call.notes == [AGREED_NOTE]


def test_no_more_lineages_are_remembered_than_fit(monkeypatch):
    monkeypatch.setattr(engine_referee, "_LINEAGES", 1)
    made = engine(share=1.0)
    turn(made, 0, UNREAD)
    turn(made, 0, UNREAD, task="another")

    assert turn(made, 1, READ)[0]["diagnostics"] == {"previous_message_id": None}
