"""Both drivers hold the same conversation: same bytes to the client, same row, same notes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from farthing.core.exchange_call import Call
from farthing.errors import (
    FarthingError,
    UpstreamCut,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from farthing.transport.decoding import decoder_for
from tests.unit.driver.talks import (
    EVENTS,
    JSON,
    FakeUpstream,
    Seen,
    Talk,
    body,
    call,
    error,
    message,
    setup,
    stream,
)

GZIP: Final = (b"content-encoding", b"gzip")


@dataclass(frozen=True)
class Case:
    """One exchange: what is asked and how the upstream behaves."""

    call: Call
    upstream: Callable[[], FakeUpstream]
    cap_pico: int | None = None
    limit_bytes: int = 10**6


RESULTS: Final = b"\n".join(
    json.dumps(
        {
            "custom_id": f"row-{n}",
            "result": {"type": "succeeded", "message": json.loads(message())},
        }
    ).encode()
    for n in range(600)
)

CASES: Final = {
    "plain": Case(call(), lambda: FakeUpstream([message()])),
    "plain in pieces": Case(call(), lambda: FakeUpstream([message()[:9], message()[9:]])),
    "plain, compressed": Case(
        call(), lambda: FakeUpstream([gzip.compress(message())], headers=(*JSON, GZIP))
    ),
    "plain, cut": Case(call(), lambda: FakeUpstream([message()] * 2, cut_after=1)),
    "plain, beyond the limit": Case(
        call(), lambda: FakeUpstream([b"12", b"34", b"56"]), limit_bytes=3
    ),
    "streamed": Case(call(body(stream=True)), lambda: FakeUpstream(stream(), headers=EVENTS)),
    "streamed, compressed": Case(
        call(body(stream=True)),
        lambda: FakeUpstream([gzip.compress(b"".join(stream()))], headers=(*EVENTS, GZIP)),
    ),
    "streamed, cut": Case(
        call(body(stream=True)), lambda: FakeUpstream(stream(), headers=EVENTS, cut_after=2)
    ),
    "streamed, incomplete": Case(
        call(body(stream=True)), lambda: FakeUpstream(stream()[:-2], headers=EVENTS)
    ),
    "overloaded": Case(call(), lambda: FakeUpstream([error("overloaded_error")], 529)),
    "unreachable": Case(call(), lambda: FakeUpstream(fails=UpstreamUnreachable())),
    "timeout": Case(call(), lambda: FakeUpstream(fails=UpstreamTimeout())),
    "refused": Case(call(), FakeUpstream, cap_pico=1),
    "within the budget": Case(call(), lambda: FakeUpstream([message()]), cap_pico=10**13),
    "models": Case(call(b"", method="GET", path="/v1/models"), lambda: FakeUpstream([b"{", b"}"])),
    "batch results": Case(
        call(b"", method="GET", path="/v1/messages/batches/b1/results"),
        lambda: FakeUpstream([RESULTS[at : at + 9_000] for at in range(0, len(RESULTS), 9_000)]),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """All there is to see of an exchange from outside."""

    seen: Seen | None
    error: type[FarthingError] | None
    rows: list[object]
    notes: list[str]
    sent: list[bytes]
    closed: int


def outcome(case: Case, *, by: Callable[[Talk, Call, FakeUpstream], Seen]) -> Outcome:
    shared = setup(task_cap_pico=case.cap_pico, answer_limit_bytes=case.limit_bytes)
    talk = Talk(setup=shared, decoding=decoder_for)
    upstream = case.upstream()
    seen: Seen | None = None
    failed: type[FarthingError] | None = None
    try:
        seen = by(talk, case.call, upstream)
    except UpstreamError as problem:
        failed = type(problem)
    rows: list[object] = list(talk.ledger.rows())
    return Outcome(seen, failed, rows, talk.notes, upstream.sent, upstream.closed)


@pytest.mark.parametrize("name", CASES)
def test_sync_and_async_hold_the_same_conversation(name: str):
    case = CASES[name]

    assert outcome(case, by=Talk.run) == outcome(case, by=Talk.run_async)


@pytest.mark.parametrize("by", [Talk.run, Talk.run_async])
def test_a_connection_is_given_back_once(by: Callable[[Talk, Call, FakeUpstream], Seen]):
    upstream = FakeUpstream([message()])

    by(Talk(), call(), upstream)

    assert upstream.closed == 1


@pytest.mark.parametrize("by", [Talk.run, Talk.run_async])
def test_results_of_a_large_batch_are_booked_one_by_one(
    by: Callable[[Talk, Call, FakeUpstream], Seen],
):
    talk, case = Talk(), CASES["batch results"]

    for _ in range(2):
        assert by(talk, case.call, case.upstream()).body == RESULTS

    assert len(list(talk.ledger.rows())) == 600


@pytest.mark.parametrize("by", [Talk.run, Talk.run_async])
def test_a_stream_cut_upstream_is_cut_for_the_client_too(
    by: Callable[[Talk, Call, FakeUpstream], Seen],
):
    talk = Talk()

    with pytest.raises(UpstreamCut):
        by(talk, CASES["streamed, cut"].call, CASES["streamed, cut"].upstream())

    assert talk.row().state == "unsettled"
