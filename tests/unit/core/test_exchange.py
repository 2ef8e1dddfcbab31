"""What becomes of one call, seen from outside: the client's answer, the row, the counters."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
import pytest

from farthing.core.budgets_account import Admitted, Denied, Reservation
from farthing.core.engine import Engine
from farthing.core.engine_setup import EngineSetup
from farthing.core.engine_values import Caller, EngineCall, Reading
from farthing.core.exchange import converse
from farthing.core.exchange_effects import Interrupted, Open
from farthing.core.loop_watch import LoopWatch
from farthing.core.policy import policy_of
from farthing.core.records import ExchangeRow, Opened, Settlement
from farthing.errors import (
    EngineBug,
    LedgerError,
    UpstreamCut,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from farthing.ledger.memory import MemoryLedger
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage
from tests.unit.driver.talks import (
    EVENTS,
    JSON,
    MODEL,
    NOW,
    USAGE,
    FakeUpstream,
    Talk,
    body,
    call,
    error,
    event,
    message,
    setup,
    stream,
)

CARD = catalog().require(MODEL, on=NOW)
TRUTH = price(Usage(uncached=100, output=20), CARD)


def end(row: ExchangeRow) -> Settlement:
    assert row.settlement is not None
    return row.settlement


# -- answers --------------------------------------------------------------------------------------


def test_a_plain_answer_passes_untouched_and_says_what_it_cost():
    talk = Talk()

    seen = talk.run(call(), FakeUpstream([message()]))

    assert (seen.status, seen.body) == (200, message())
    assert seen.headers["x-farthing-exchange-id"] == "ex_1"
    assert seen.headers["x-farthing-cost-usd"] == str(TRUTH)
    assert seen.headers["x-farthing-saved-usd"] == "0"
    settled = end(talk.row())
    assert (settled.state, settled.cost, settled.rate_card_id) == ("settled", TRUTH, CARD.id)
    assert settled.baseline_pico == TRUTH.total
    assert (settled.message_id, settled.stop_reason) == ("msg_1", "end_turn")
    assert (settled.provider_request_id, settled.http_status) == ("req_1", 200)
    assert settled.response_bytes == len(message())


def test_a_streamed_answer_passes_chunk_by_chunk_and_settles_at_its_end():
    talk = Talk()

    seen = talk.run(call(body(stream=True)), FakeUpstream(stream(), headers=EVENTS))

    assert seen.body == b"".join(stream())
    assert "x-farthing-cost-usd" not in seen.headers
    assert end(talk.row()).cost == TRUTH
    assert talk.row().opened.is_streamed


def test_the_intent_is_on_record_before_anything_is_sent():
    talk = Talk()
    upstream = FakeUpstream([message()])
    conversation = converse(call(), talk.setup)

    effects = [next(conversation)]

    assert isinstance(effects[0], Open)
    assert upstream.sent == []


def test_times_are_ours_the_first_byte_and_all():
    settled = end(_row_of(FakeUpstream([message()])))

    # the clock ticks once a look: sent 1, head 2, first byte 3, end 4, settle 5
    assert settled.overhead_us == 1_000 + 1_000
    assert (settled.ttft_us, settled.total_us) == (3_000, 5_000)


def _row_of(upstream: FakeUpstream, **changes: Any) -> ExchangeRow:
    talk = Talk(setup=setup(**changes))
    talk.run(call(), upstream)
    return talk.row()


def test_an_unpriced_model_keeps_its_tokens_and_has_no_cost():
    settled = end(_row_of(FakeUpstream([message(model="claude-unknown-9")])))

    assert (settled.cost, settled.baseline_pico) == (None, None)
    assert settled.usage is not None
    assert settled.usage.prompt == 100
    assert "unpriced.model" in settled.notes


def test_usage_that_no_card_prices_is_unpriced():
    settled = end(_row_of(FakeUpstream([message(USAGE | {"speed": "warp"})])))

    assert settled.cost is None
    assert "unpriced.usage" in settled.notes


def test_an_answer_without_a_model_is_priced_as_asked():
    assert end(_row_of(FakeUpstream([message(model=None)]))).cost == TRUTH


@pytest.mark.parametrize(
    ("category", "output", "is_free"),
    [("cyber", 0, True), ("bio", 0, False), (None, 0, True), ("cyber", 1, False)],
)
def test_a_refusal_before_any_output_is_free_but_for_billed_categories(category, output, is_free):
    """API facts 1.3, since 2026-09-24."""
    details = {"type": "refusal", "category": category}
    usage = USAGE | {"output_tokens": output}
    answer = message(usage, stop_reason="refusal", stop_details=details)

    cost = end(_row_of(FakeUpstream([answer]))).cost

    assert cost is not None
    assert (cost.total == 0) is is_free


def test_a_streamed_refusal_says_its_category_too():
    events = stream(0)
    events[1] = event(
        "message_delta",
        delta={"stop_reason": "refusal", "stop_details": {"category": "cyber"}},
        usage={"output_tokens": 0},
    )
    talk = Talk()
    talk.run(call(), FakeUpstream(events, headers=EVENTS))

    assert str(end(talk.row()).cost) == "0"


def test_a_redeemed_credit_is_noted():
    credit = {"fallback_credit": {"status": "redeemed"}}

    assert "fallback_credit.redeemed" in end(_row_of(FakeUpstream([message(USAGE | credit)]))).notes


def test_an_answer_that_cannot_be_read_is_an_interval():
    settled = end(_row_of(FakeUpstream([b"<html>"])))

    assert (settled.state, settled.low_pico) == ("unsettled", 0)
    assert settled.high_pico is not None
    assert settled.high_pico >= TRUTH.total
    assert "answer.unreadable" in settled.notes


def test_an_answer_beyond_the_limit_passes_whole_and_is_an_interval():
    talk = Talk(setup=setup(answer_limit_bytes=10))
    pieces = [b"x" * 8] * 4

    seen = talk.run(call(), FakeUpstream(pieces))

    assert seen.body == b"x" * 32
    assert end(talk.row()).state == "unsettled"


@pytest.mark.parametrize("coding", [b"br", b"gzip, br"])
def test_an_encoding_we_cannot_read_passes_and_is_an_interval(coding: bytes):
    talk = Talk()
    encoded = (*EVENTS, (b"content-encoding", coding))

    seen = talk.run(call(), FakeUpstream([b"\x01\x02"], headers=encoded))

    assert seen.body == b"\x01\x02"
    assert end(talk.row()).state == "unsettled"
    assert "answer.encoding_unknown" in end(talk.row()).notes


class Broken:
    def decode(self, chunk: bytes) -> bytes:
        raise ValueError("no such encoding")


def test_a_broken_encoding_passes_and_is_an_interval():
    talk = Talk(decoding=lambda _: Broken())
    encoded = (*EVENTS, (b"content-encoding", b"gzip"))

    seen = talk.run(call(), FakeUpstream(stream(), headers=encoded))

    assert seen.body == b"".join(stream())
    assert end(talk.row()).state == "unsettled"
    assert "answer.unreadable" in end(talk.row()).notes


# -- streams that end early -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen_events", "low"), [(1, 0), (3, price(Usage(uncached=100, output=1), CARD).total)]
)
def test_a_stream_cut_before_its_end_is_an_interval_from_what_was_said(seen_events: int, low: int):
    """The output count of the first event is a placeholder: before content nothing is billed."""
    talk = Talk()
    upstream = FakeUpstream(stream(), headers=EVENTS, cut_after=seen_events)

    with pytest.raises(UpstreamCut):
        talk.run(call(), upstream)

    settled = end(talk.row())
    assert settled.state == "unsettled"
    assert settled.low_pico == low
    # the region may be said as late as in the last event
    assert settled.high_pico == price(Usage(uncached=100, output=50), CARD).total * 11 // 10
    assert "answer.cut" in settled.notes


def test_a_stream_of_an_unpriced_model_has_no_upper_end():
    talk = Talk()
    events = stream()[:2]
    asked = call(body(model="claude-unknown-9"))

    talk.run(asked, FakeUpstream([e.replace(b"opus-5-5", b"x") for e in events], headers=EVENTS))

    assert (end(talk.row()).low_pico, end(talk.row()).high_pico) == (0, None)


def test_before_any_output_the_lower_end_is_zero():
    """A refusal may still follow, and would be free."""
    started = {"id": "m", "model": MODEL, "usage": {"input_tokens": 100, "output_tokens": 0}}
    talk = Talk()
    talk.run(call(), FakeUpstream([event("message_start", message=started)], headers=EVENTS))

    assert end(talk.row()).low_pico == 0


def test_a_stream_cut_after_its_final_usage_is_settled():
    talk = Talk()

    with pytest.raises(UpstreamCut):
        talk.run(call(), FakeUpstream(stream(), headers=EVENTS, cut_after=5))

    assert end(talk.row()).cost == TRUTH


def test_an_error_in_a_stream_is_an_interval_with_its_type():
    events = [*stream()[:2], b"event: error\ndata: " + error("overloaded_error") + b"\n\n"]
    talk = Talk()
    talk.run(call(), FakeUpstream(events, headers=EVENTS))

    settled = end(talk.row())
    assert (settled.state, settled.error_type) == ("unsettled", "overloaded_error")


# -- failures -------------------------------------------------------------------------------------


def test_an_error_answer_passes_and_costs_nothing():
    talk = Talk()

    seen = talk.run(call(), FakeUpstream([error("rate_limit_error")], 429))

    assert (seen.status, seen.body) == (429, error("rate_limit_error"))
    settled = end(talk.row())
    assert (settled.state, str(settled.cost), settled.usage) == ("settled", "0", Usage())
    assert (settled.error_type, settled.http_status) == ("rate_limit_error", 429)


def test_an_error_page_of_someone_else_passes_too():
    assert end(_row_of(FakeUpstream([b"<html>"], 502))).error_type == "api_error"


def test_a_large_error_answer_passes_whole():
    talk = Talk(setup=setup(answer_limit_bytes=3))

    assert talk.run(call(), FakeUpstream([b"abcd", b"efgh"], 500)).body == b"abcdefgh"


def test_an_error_answer_that_is_cut_becomes_one_of_ours_and_costs_nothing():
    talk = Talk()

    seen = talk.run(call(), FakeUpstream([b"x", b"y"], 500, cut_after=1))

    assert seen.status == 502
    assert str(end(talk.row()).cost) == "0"


def test_a_claude_that_cannot_be_reached_costs_nothing():
    talk = Talk()

    seen = talk.run(call(), FakeUpstream(fails=UpstreamUnreachable()))

    assert seen.status == 502
    assert json.loads(seen.body)["error"]["type"] == "api_error"
    assert "x-should-retry" not in seen.headers
    assert (end(talk.row()).state, end(talk.row()).error_type) == ("released", "api_error")


def test_a_silence_after_sending_is_an_interval():
    talk = Talk()

    seen = talk.run(call(), FakeUpstream(fails=UpstreamTimeout()))

    assert seen.status == 504
    settled = end(talk.row())
    assert (settled.state, settled.low_pico) == ("unsettled", 0)
    assert settled.high_pico == talk.row().opened.high_pico


def test_a_plain_answer_that_is_cut_is_an_interval():
    talk = Talk()

    assert talk.run(call(), FakeUpstream([b"{", b"}"], cut_after=1)).status == 502
    assert end(talk.row()).state == "unsettled"


# -- attempts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing",
    [FakeUpstream([error("overloaded_error")], 529), FakeUpstream(fails=UpstreamUnreachable())],
)
def test_a_retry_goes_on_with_the_failed_exchange(failing: FakeUpstream):
    talk = Talk()
    talk.run(call(x_stainless_retry_count="0"), failing)

    again = call(exchange_id="ex_2", at_ns=10**9, x_stainless_retry_count="1")
    seen = talk.run(again, FakeUpstream([message()]))

    assert seen.headers["x-farthing-exchange-id"] == "ex_1"
    assert talk.ledger.row("ex_2") is None
    assert (end(talk.row()).attempts, end(talk.row()).cost) == (2, TRUTH)


@pytest.mark.parametrize(
    "failing",
    [
        FakeUpstream([error("invalid_request_error")], 400),
        FakeUpstream([error("api_error")], 500, headers=((b"x-should-retry", b"false"),)),
        FakeUpstream(fails=UpstreamTimeout()),
    ],
)
def test_what_is_not_retried_or_may_have_cost_something_is_not_joined(failing: FakeUpstream):
    talk = Talk()
    talk.run(call(), failing)

    talk.run(call(exchange_id="ex_2", x_stainless_retry_count="1"), FakeUpstream([message()]))

    assert talk.row("ex_2").opened.attempt == 1
    assert end(talk.row()).attempts == 1


def test_a_failed_count_is_not_waited_for():
    talk = Talk()
    counting = call(path="/v1/messages/count_tokens")
    talk.run(counting, FakeUpstream([error("overloaded_error")], 529))

    assert len(talk.setup.joining) == 0


# -- budgets --------------------------------------------------------------------------------------


def test_a_call_beyond_the_budget_is_refused_and_not_to_be_retried():
    talk = Talk(setup=setup(task_cap_pico=10))
    upstream = FakeUpstream([message()])

    seen = talk.run(call(x_farthing_task="t1"), upstream)

    assert (seen.status, seen.headers["x-should-retry"]) == (402, "false")
    assert json.loads(seen.body)["error"]["type"] == "billing_error"
    assert int(seen.headers["content-length"]) == len(seen.body)
    assert upstream.sent == []
    settled = end(talk.row())
    assert (settled.state, settled.http_status) == ("released", 402)
    assert settled.notes == ("budget.refused",)


def test_a_settled_call_frees_what_it_did_not_spend():
    worst = Talk()
    worst.run(call(body(stop=0)), FakeUpstream([message()]))
    high = worst.row().opened.high_pico
    assert high is not None
    talk = Talk(setup=setup(task_cap_pico=high + TRUTH.total))

    statuses = [
        talk.run(call(body(stop=n), exchange_id=f"ex_{n}", x_farthing_task="t"), upstream).status
        for n, upstream in enumerate([FakeUpstream([message()])] * 2, start=1)
    ]

    # the second, as large as the first, fits only because the first has settled
    assert statuses == [200, 200]
    assert talk.row().opened.hold_pico is not None
    assert talk.row().opened.reservation_id == "ex_1.1"


@pytest.mark.parametrize(
    ("header", "cap", "status"),
    [("0.00001", 10**13, 402), ("99", 10, 402), ("99", None, 200), ("-1", None, 402)],
)
def test_the_tighter_of_both_caps_counts(header: str, cap: int | None, status: int):
    talk = Talk(setup=setup(task_cap_pico=cap))
    asked = call(x_farthing_budget_usd=header)

    assert talk.run(asked, FakeUpstream([message()])).status == status


@pytest.mark.parametrize(("fault", "status"), [("open", 200), ("closed", 402)])
@pytest.mark.parametrize(
    "asked",
    [
        call(body(model="claude-unknown-9"), x_farthing_budget_usd="1"),
        call(x_farthing_budget_usd="one dollar"),
        call(b"no json", x_farthing_budget_usd="1"),
    ],
    ids=["unpriced", "unreadable header", "unreadable body"],
)
def test_a_budget_that_cannot_be_kept_does_as_the_operator_says(asked, fault: str, status: int):
    talk = Talk(setup=setup(budget_fault=fault))

    assert talk.run(asked, FakeUpstream([message()])).status == status
    assert end(talk.row()).notes[-1].startswith("budget.")


def test_counting_tokens_is_free_and_spends_no_budget():
    talk = Talk(setup=setup(task_cap_pico=1))
    counting = call(path="/v1/messages/count_tokens")

    assert talk.run(counting, FakeUpstream([b'{"input_tokens":7}'])).status == 200
    assert (str(end(talk.row()).cost), talk.row().opened.scope) == ("0", None)


# -- a ledger in trouble --------------------------------------------------------------------------


@dataclass
class Failing(MemoryLedger):
    """Fails at some of its verbs for a number of times."""

    failing: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def _maybe(self, verb: str) -> None:
        if self.failing.get(verb, 0) > 0:
            self.failing[verb] -= 1
            raise LedgerError("no space left")

    def open(self, opened: Opened) -> None:
        self._maybe("open")
        super().open(opened)

    def settle(self, settlement: Settlement) -> None:
        self._maybe("settle")
        super().settle(settlement)

    def release(self, reservation_id: str) -> None:
        self._maybe("release")
        super().release(reservation_id)

    def reserve(self, reservation: Reservation, *, now: datetime) -> Admitted | Denied:
        self._maybe("reserve")
        return super().reserve(reservation, now=now)


@pytest.mark.parametrize("verb", ["open", "settle"])
def test_a_ledger_that_cannot_write_does_not_stop_a_call(verb: str):
    talk = Talk(ledger=Failing(failing={verb: 9}))

    seen = talk.run(call(), FakeUpstream([message()]))

    assert (seen.status, seen.body) == (200, message())
    assert f"ledger.{verb}_failed" in talk.notes


def test_an_intent_that_could_not_be_written_is_written_at_the_end():
    talk = Talk(ledger=Failing(failing={"open": 1}))

    talk.run(call(), FakeUpstream([message()]))

    assert end(talk.row()).cost == TRUTH
    assert "ledger.open_failed" in end(talk.row()).notes


@pytest.mark.parametrize("release_fails", [0, 1])
def test_a_hold_that_no_row_will_end_is_released(release_fails: int):
    ledger = Failing(failing={"open": 9, "release": release_fails})
    talk = Talk(ledger=ledger, setup=setup(task_cap_pico=10**13))

    assert talk.run(call(), FakeUpstream([message()])).status == 200
    assert ("ledger.release_failed" in talk.notes) is bool(release_fails)


@pytest.mark.parametrize(("fault", "status"), [("open", 200), ("closed", 402)])
def test_a_budget_that_cannot_be_asked_does_as_the_operator_says(fault: str, status: int):
    ledger = Failing(failing={"reserve": 1})
    talk = Talk(ledger=ledger, setup=setup(task_cap_pico=10**13, budget_fault=fault))

    assert talk.run(call(), FakeUpstream([message()])).status == status


# -- our own mistakes -----------------------------------------------------------------------------


class BrokenEngine(Engine):
    def begin(self, reading: Reading, caller: Caller) -> EngineCall | None:
        raise RuntimeError("a bug of ours")


class Torn(dict[str, str]):
    """Headers that cannot be read to their end."""

    def get(self, name: str, otherwise: Any = None) -> Any:
        if name == "x-farthing-key":
            raise RuntimeError("a bug of ours")
        return super().get(name, otherwise)


def test_an_attribution_that_fails_leaves_the_call_to_nobody():
    talk = Talk(setup=setup())
    torn = msgspec.structs.replace(call(), headers=Torn(call().headers))

    assert talk.run(torn, FakeUpstream([message()])).status == 200
    assert talk.row().opened.attribution.task_id == "unattributed"
    assert "fail_open.attribution" in end(talk.row()).notes


class Blind(LoopWatch):
    """A guard that cannot look."""

    @property
    def trees(self) -> Any:
        raise RuntimeError("a bug of ours")

    @trees.setter
    def trees(self, _: Any) -> None:
        """Nothing is kept."""


def test_a_guard_that_cannot_look_leaves_the_call_alone():
    talk = Talk(setup=setup(loops=Blind()))
    child = call(x_farthing_task="t2", x_farthing_parent="t1")

    assert talk.run(child, FakeUpstream([message()])).status == 200
    assert "fail_open.loops" in end(talk.row()).notes


def test_levers_that_fail_leave_the_clients_bytes():
    made = EngineSetup(
        policy=policy_of("safe"), engine_version="1", install_key=b"k", prices=catalog()
    )
    talk = Talk(setup=setup(engine=BrokenEngine(made)))
    upstream = FakeUpstream([message()])

    assert talk.run(call(), upstream).status == 200
    assert upstream.sent == [body()]
    assert talk.notes == ["fail_open.levers"]
    assert "fail_open.levers" in end(talk.row()).notes


def test_prices_that_fail_leave_tokens():
    talk = Talk(setup=setup())
    talk.setup.prices = replace(catalog(), listed=None)  # type: ignore[arg-type]  # broken on purpose

    seen = talk.run(call(), FakeUpstream([message()]))

    assert (seen.status, seen.body) == (200, message())
    assert talk.notes == ["fail_open.worst_case", "fail_open.price"]


def test_a_body_we_cannot_read_is_for_claude_to_refuse():
    talk = Talk()
    upstream = FakeUpstream([error("invalid_request_error")], 400)

    talk.run(call(b"\xff{"), upstream)

    assert upstream.sent == [b"\xff{"]
    assert "request.unreadable" in end(talk.row()).notes


def test_a_model_name_that_is_a_text_does_not_rest():
    talk = Talk()
    talk.run(call(body(model="my secret prompt, in the wrong place")), FakeUpstream([message()]))

    assert talk.row().opened.model_asked is None


@pytest.mark.parametrize("name", ["x" * 100_000, "words of an answer, in the wrong place"])
def test_a_model_name_that_an_answer_makes_up_does_not_rest(name):
    plain, cut_short = Talk(), Talk()
    plain.run(call(), FakeUpstream([message(model=name)]))
    events = [event.replace(MODEL.encode(), name.encode()) for event in stream()[:2]]
    cut_short.run(call(), FakeUpstream(events, headers=EVENTS))

    for talk in (plain, cut_short):
        assert end(talk.row()).model_served is None
        assert "unpriced.model" in end(talk.row()).notes or end(talk.row()).state == "unsettled"


def test_a_fault_in_the_driver_closes_the_row():
    talk = Talk()
    conversation = converse(call(), talk.setup)
    next(conversation)
    conversation.send(None)

    effect = conversation.throw(EngineBug("a bug of ours"))

    assert type(effect).__name__ == "Now"


# -- other paths ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "cost"),
    [
        ("POST", "/v1/messages/batches", "0"),
        ("POST", "/v1/files", "0"),
        ("POST", "/v1/complete", None),
    ],
)
def test_what_is_free_costs_nothing_and_what_we_do_not_know_has_no_cost(method, path, cost):
    talk = Talk()

    seen = talk.run(call(method=method, path=path), FakeUpstream([b"a", b"b"]))

    assert seen.body == b"ab"
    found = end(talk.row()).cost
    assert (None if found is None else str(found)) == cost
    assert path.startswith(talk.row().opened.path.removeprefix("POST "))


def test_reading_leaves_no_row():
    talk = Talk()

    assert talk.run(call(method="GET", path="/v1/models"), FakeUpstream([b"[]"])).body == b"[]"
    assert list(talk.ledger.rows()) == []


@pytest.mark.parametrize(
    ("path", "state"), [("/v1/complete", "unsettled"), ("/v1/files", "settled")]
)
def test_another_path_that_is_cut_is_cut_for_the_client(path: str, state: str):
    talk = Talk()

    with pytest.raises(UpstreamCut):
        talk.run(call(path=path), FakeUpstream([b"a", b"b"], cut_after=1))

    assert end(talk.row()).state == state


def test_a_path_outside_the_api_is_one_class():
    talk = Talk()
    talk.run(call(path="/secret/path"), FakeUpstream([b""]))

    assert talk.row().opened.path == "POST /"


# -- the end by interruption ----------------------------------------------------------------------


def test_a_client_that_leaves_in_mid_stream_leaves_an_interval():
    talk = Talk()
    parts = talk.parts(call(), FakeUpstream(stream(), headers=EVENTS))
    for _ in range(3):
        next(parts)

    parts.close()

    assert end(talk.row()).state == "unsettled"
    assert end(talk.row()).notes == ("interrupted",)


def test_a_client_that_leaves_at_an_error_event_has_interrupted_nothing():
    events = [*stream()[:2], b"event: error\ndata: " + error("overloaded_error") + b"\n\n"]
    talk = Talk()
    parts = talk.parts(call(), FakeUpstream([*events, b": more\n\n"], headers=EVENTS))
    for _ in range(4):
        next(parts)

    parts.close()

    row = end(talk.row())
    assert (row.state, row.error_type) == ("unsettled", "overloaded_error")
    assert row.notes == ("answer.incomplete",)


def test_a_client_that_leaves_during_an_error_answer_costs_nothing():
    talk = Talk()
    upstream = FakeUpstream([b"x"], 500)
    conversation = converse(call(), talk.setup)
    driven = talk.parts(call(), upstream)
    driven.close()  # not begun: nothing happened

    assert list(talk.ledger.rows()) == []
    assert repr(next(conversation)).startswith("Open(")


def test_a_client_that_leaves_after_the_last_byte_changes_nothing():
    talk = Talk()
    parts = talk.parts(call(), FakeUpstream([message()]))
    next(parts)
    before = talk.row()

    parts.close()

    assert talk.row() == before
    assert end(before).state == "settled"


def test_an_interruption_is_never_answered_with_something_that_waits():
    conversation = converse(call(), setup())
    next(conversation)
    asked = [conversation.throw(Interrupted())]
    asked.append(conversation.send(call().received))
    asked.append(conversation.send(None))
    asked.append(conversation.send(call().received))

    with pytest.raises(Interrupted):
        conversation.send(None)

    assert [type(effect).__name__ for effect in asked] == ["Now", "Open", "Now", "Settle"]


# -- batches --------------------------------------------------------------------------------------


def result(custom_id: str, type_: str = "succeeded", **more: Any) -> bytes:
    said: dict[str, Any] = {"type": type_} | more
    if type_ == "succeeded":
        said["message"] = json.loads(message())
    return json.dumps({"custom_id": custom_id, "result": said}).encode() + b"\n"


BATCH = call(b"", method="GET", path="/v1/messages/batches/msgbatch_1/results")
JSONL = ((b"content-type", b"application/x-jsonl"),)


def test_batch_results_are_booked_once_at_the_batch_price():
    talk = Talk()
    lines = result("a") + result("b", "errored", error={"error": {"type": "api_error"}})
    lines += result("c", "expired")

    for _ in range(2):
        assert talk.run(BATCH, FakeUpstream([lines[:50], lines[50:]], headers=JSONL)).body == lines

    rows = {row.opened.exchange_id: row for row in talk.ledger.rows()}
    assert set(rows) == {f"msgbatch_1:{name}" for name in "abc"}
    done = end(rows["msgbatch_1:a"])
    assert (done.cost and done.cost.total, rows["msgbatch_1:a"].opened.endpoint) == (
        TRUTH.total // 2,
        "batch_item",
    )
    assert [end(rows[f"msgbatch_1:{name}"]).error_type for name in "bc"] == ["api_error", "expired"]
    assert str(end(rows["msgbatch_1:c"]).cost) == "0"


def test_the_last_line_may_lack_its_end_and_strange_lines_are_counted():
    talk = Talk()
    lines = b"\nno json\n" + result("a").rstrip()

    talk.run(BATCH, FakeUpstream([lines], headers=JSONL))

    assert end(talk.row("msgbatch_1:a")).cost is not None
    assert talk.notes == ["batch.unreadable"]


def test_results_that_passed_before_a_cut_are_booked():
    talk = Talk()

    with pytest.raises(UpstreamCut):
        talk.run(BATCH, FakeUpstream([result("a"), b"x"], headers=JSONL, cut_after=1))

    assert end(talk.row("msgbatch_1:a")).state == "settled"


def test_results_pass_a_ledger_that_cannot_write():
    talk = Talk(ledger=Failing(failing={"open": 9}))

    assert talk.run(BATCH, FakeUpstream([result("a")], headers=JSONL)).body == result("a")
    assert talk.notes == ["ledger.batch_item_failed"]


def test_a_result_of_an_unpriced_model_keeps_its_tokens():
    talk = Talk()
    line = result("a").replace(MODEL.encode(), b"claude-unknown-9")

    talk.run(BATCH, FakeUpstream([line], headers=JSONL))

    assert end(talk.row("msgbatch_1:a")).cost is None
    assert JSON != JSONL
