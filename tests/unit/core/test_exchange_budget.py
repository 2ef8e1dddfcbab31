"""An exchange under budgets, from outside: what is sent, held, refused, noted and on record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from farthing.core.budgets import Budget, root_first
from farthing.core.budgets_account import Admitted, Denied, Reservation
from farthing.core.budgets_board import BudgetBoard
from farthing.core.exchange import converse
from farthing.core.exchange_effects import Interrupted, Open, Release, Reserve
from farthing.core.records import ExchangeRow, Settlement
from farthing.errors import LedgerError
from farthing.ledger.memory import MemoryLedger
from farthing.pricing import catalog, price
from farthing.wire.usage import Usage
from tests.unit.driver.talks import (
    MODEL,
    NOW,
    FakeUpstream,
    Seen,
    Talk,
    body,
    call,
    error,
    message,
    setup,
)

CARD = catalog().require(MODEL, on=NOW)
TRUTH = price(Usage(uncached=100, output=20), CARD).total
DAY = "everything@day:2026-11-21T00:00Z"
DOLLAR = 10**12


def budget(name: str = "all", **given: Any) -> Budget:
    values: dict[str, Any] = {"scope": "everything", "limit_pico": DOLLAR, "window": "day"}
    return Budget(name=name, **values | given)


def talk(*budgets: Budget, ledger: Any = None, **changes: Any) -> Talk:
    board = BudgetBoard(budgets=tuple(root_first(budgets)))
    return Talk(setup=setup(board=board, **changes), ledger=ledger or MemoryLedger())


def ended(row: ExchangeRow) -> Settlement:
    assert row.settlement is not None
    return row.settlement


def sums(one: Talk, key: str) -> tuple[int, int]:
    """What is spent and held under a key."""
    assert isinstance(one.ledger, MemoryLedger)
    return one.ledger.spent_and_held(key)


def worst(max_tokens: int = 50) -> int:
    """What a small call holds in strict."""
    one = talk(budget(mode="strict"))
    one.run(call(body(max_tokens=max_tokens)), FakeUpstream([message()]))
    return one.row().opened.hold_pico or 0


# -- admitted -------------------------------------------------------------------------------------


def test_a_call_is_held_in_every_budget_and_spent_in_every_one():
    budgets = [
        budget("day"),
        budget("tree", scope="tree", window="total"),
        budget("k", scope="key"),
    ]
    one = talk(*budgets, task_cap_pico=DOLLAR)
    upstream = FakeUpstream([message()])

    seen = one.run(call(x_farthing_task="t1", x_farthing_root="t0"), upstream)

    assert seen.status == 200
    assert upstream.sent == [body()]
    opened = one.row().opened
    assert opened.hold_pico == opened.high_pico == worst()
    assert [key.partition(":")[0] for key in opened.budget_keys] == [
        "everything@day",
        "key",
        "tree",
        "task",
    ]
    assert {sums(one, key) for key in opened.budget_keys} == {(TRUTH, 0)}


def test_a_client_may_lower_its_task_and_its_own_cap_refuses_last():
    one = talk(budget())

    seen = one.run(call(x_farthing_task="t1", x_farthing_budget_usd="0.0001"), FakeUpstream())

    assert seen.status == 402
    assert "the task's own" in said(seen)


def test_budgets_that_do_not_apply_hold_nothing():
    one = talk(budget(scope="model", selector="claude-haiku-5-5"))

    assert one.run(call(), FakeUpstream([message()])).status == 200
    assert (one.row().opened.budget_keys, one.row().opened.hold_pico) == ((), None)


def test_what_is_not_a_message_is_not_asked_about():
    one = talk(budget(limit_pico=0))

    assert one.run(call(path="/v1/models", method="GET"), FakeUpstream([b"{}"])).status == 200


def test_the_second_turn_is_held_by_what_the_first_was_counted_at():
    one = talk(budget(mode="strict"))
    turns = [{"role": "user", "content": "What is a farthing? " * 200}]
    one.run(call(body(messages=turns), exchange_id="ex_1"), FakeUpstream([message()]))
    turns += [{"role": "assistant", "content": "A coin."}, {"role": "user", "content": "Go on."}]
    one.run(call(body(messages=turns), exchange_id="ex_2"), FakeUpstream([message()]))

    first, second = one.row("ex_1").opened.hold_pico or 0, one.row("ex_2").opened.hold_pico or 0
    assert second < first / 4


def test_far_from_the_end_ample_holds_what_is_likely():
    one = talk(budget(limit_pico=100 * DOLLAR))
    for number in range(64):
        one.run(call(exchange_id=f"ex_{number}"), FakeUpstream([message()]))

    conversation = converse(call(exchange_id="last"), one.setup)
    effect = next(conversation)
    assert isinstance(effect, Reserve)
    reply = one.ledger.reserve(effect.reservation, now=NOW)
    assert isinstance(reply, Admitted)

    assert TRUTH <= reply.standings[0].held_pico < worst() / 2


def test_a_lost_answer_counts_with_what_was_held_and_no_more():
    one = talk(budget(mode="strict"))
    one.run(call(), FakeUpstream([b"<html>"]))

    assert ended(one.row()).state == "unsettled"
    assert ended(one.row()).high_pico == worst()
    assert sums(one, DAY) == (worst(), 0)


def test_a_call_of_several_passes_is_held_as_its_budget_declares():
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    strict, ample = talk(budget(mode="strict", limit_pico=10**18)), talk(budget())
    for one in (strict, ample):
        one.run(call(body(tools=search)), FakeUpstream([message()]))

    opened = strict.row().opened
    assert opened.hold_pico == opened.high_pico == ample.row().opened.high_pico
    assert (ample.row().opened.hold_pico or 0) < (opened.hold_pico or 0) / 12


def test_a_batchs_items_count_in_every_budget_when_their_results_pass():
    one = talk(budget(), budget("k", scope="key"), budget("c", scope="call", window="call"))
    items = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": json.loads(message())}},
        {"custom_id": "b", "result": {"type": "expired"}},
    ]
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    for _ in range(2):
        path = "/v1/messages/batches/msgbatch_1/results"
        one.run(call(b"", method="GET", path=path), FakeUpstream([lines]))

    keys = one.row("msgbatch_1:a").opened.budget_keys
    assert keys[0] == DAY
    assert [sums(one, key) for key in keys] == [(TRUTH // 2, 0)] * 2


# -- refused --------------------------------------------------------------------------------------


def said(seen: Seen) -> str:
    text: str = json.loads(seen.body)["error"]["message"]
    return text


def test_a_refusal_says_scope_limit_spent_held_and_reset():
    one = talk(budget("nightly", limit_pico=2 * TRUTH + worst() - 1))
    for number in (1, 2):
        one.run(call(exchange_id=f"ex_{number}"), FakeUpstream([message()]))
    upstream = FakeUpstream([message()])

    seen = one.run(call(body(system="Another one."), exchange_id="ex_3"), upstream)

    assert (seen.status, seen.headers["x-should-retry"]) == (402, "false")
    assert upstream.sent == []
    error_ = json.loads(seen.body)["error"]
    assert error_["type"] == "billing_error"
    assert error_["details"]["error_code"] == "farthing.budget.exceeded"
    for part in ("'nightly'", DAY, "left", "spent", "held", "anew at 2026-11-22T00:00Z"):
        assert part in said(seen)
    assert (ended(one.row("ex_3")).state, one.row("ex_3").opened.hold_pico) == ("released", None)
    assert "budget.refused" in ended(one.row("ex_3")).notes
    assert sums(one, DAY) == (2 * TRUTH, 0)


def test_what_fits_exactly_is_not_refused():
    assert talk(budget(limit_pico=worst())).run(call(), FakeUpstream([message()])).status == 200
    assert talk(budget(limit_pico=worst() - 1)).run(call(), FakeUpstream()).status == 402


@pytest.mark.parametrize(("limit", "status"), [(0, 200), (-1, 402)])
def test_a_budget_over_single_calls_counts_nothing(limit: int, status: int):
    one = talk(budget(scope="call", window="call", limit_pico=worst() + limit))

    seen = [one.run(call(exchange_id=f"ex_{n}"), FakeUpstream([message()])) for n in (1, 2)]

    assert [each.status for each in seen] == [status, status]
    assert one.row().opened.budget_keys == ()
    if status == 402:
        assert "over single calls allows $" in said(seen[0])
        assert "lineage" not in said(seen[0])


def test_a_refusal_of_one_budget_holds_in_none():
    one = talk(budget(), budget("poor", scope="task", window="total", limit_pico=1))

    assert one.run(call(x_farthing_task="t1"), FakeUpstream()).status == 402
    assert sums(one, DAY) == (0, 0)


# -- no price, no ledger --------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "status"), [("refuse", 402), ("allow", 200)])
def test_an_unknown_price_is_never_nothing(policy: Any, status: int):
    one = talk(budget(on_unpriced=policy))

    seen = one.run(call(body(model="claude-unknown-9")), FakeUpstream([message()]))

    assert seen.status == status
    assert "budget.unpriced" in ended(one.row()).notes
    assert one.row().opened.budget_keys == ()


def test_a_price_that_no_budget_asks_for_is_refused_where_budgets_fail_closed():
    one = Talk(
        setup=setup(
            board=BudgetBoard(budgets=(budget(scope="model", selector="x"),)),
            task_cap_pico=1,
            budget_fault="closed",
        )
    )

    seen = one.run(call(body(model="claude-unknown-9")), FakeUpstream())

    assert seen.status == 402
    assert "the budget cannot be kept" in said(seen)


@dataclass
class Failing:
    """A ledger that cannot be asked about budgets."""

    inner: MemoryLedger = field(default_factory=MemoryLedger)

    def reserve(self, reservation: Reservation, *, now: datetime) -> Admitted | Denied:
        raise LedgerError

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize(
    ("policy", "fault", "status"),
    [("refuse", "open", 402), ("allow", "open", 200), ("allow", "closed", 402)],
)
def test_a_ledger_that_cannot_be_asked_is_as_the_policy_says(policy: Any, fault: Any, status: int):
    one = talk(budget(on_fault=policy), ledger=Failing(), budget_fault=fault)

    assert one.run(call(), FakeUpstream([message()])).status == status
    assert "budget.ledger_fault" in ended(one.row()).notes


def test_a_request_whose_blocks_cannot_be_read_is_held_by_its_bytes():
    one = talk(budget())
    refused = FakeUpstream([error("invalid_request_error")], status=400)

    assert one.run(call(body(messages=[7])), refused).status == 400
    assert one.row().opened.hold_pico is not None
    assert sums(one, DAY) == (0, 0)


# -- thresholds, crashes --------------------------------------------------------------------------


def test_a_threshold_that_was_passed_is_a_note_on_the_next_call():
    one = talk(budget(limit_pico=200 * TRUTH, thresholds=(1,)), budget("k", scope="key"))
    for number in range(2):
        one.run(call(exchange_id=f"ex_{number}"), FakeUpstream([message()]))
    assert one.notes == []

    one.run(call(exchange_id="next"), FakeUpstream([message()]))
    one.run(call(exchange_id="after"), FakeUpstream([message()]))

    assert one.notes == ["budget.threshold.1"]
    assert "budget.threshold.1" in ended(one.row("next")).notes


@pytest.mark.parametrize("is_held", [True, False])
def test_who_is_interrupted_while_asking_gives_back_what_was_held(is_held: bool):
    one = talk(budget())
    conversation = converse(call(), one.setup)
    effect = next(conversation)
    assert isinstance(effect, Reserve)
    if is_held:
        one.ledger.reserve(effect.reservation, now=NOW)

    release = conversation.throw(Interrupted())
    assert isinstance(release, Release)
    one.ledger.release(release.reservation_id)
    with pytest.raises(Interrupted):
        conversation.send(None)

    assert sums(one, DAY) == (0, 0)


def test_a_retry_holds_and_spends_once():
    one = talk(budget())
    one.run(call(), FakeUpstream([error("overloaded_error")], status=529))
    assert sums(one, DAY) == (0, 0)

    one.run(call(exchange_id="ex_2"), FakeUpstream([message()]))

    assert one.row().settlement is not None
    assert ended(one.row()).attempts == 2
    assert sums(one, DAY) == (TRUTH, 0)


def test_without_budgets_nothing_is_asked():
    effect = next(converse(call(), setup()))

    assert isinstance(effect, Open)


# -- no way around --------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["abc", "", "$1", "1e9", "0.1234567890123"])
def test_a_header_that_cannot_be_read_is_no_way_around_a_budget(asked: str):
    one = talk(budget(limit_pico=0))

    seen = one.run(call(x_farthing_budget_usd=asked), FakeUpstream([message()]))

    assert seen.status == 402
    assert {"budget.unreadable", "budget.refused"} <= set(ended(one.row()).notes)


def test_a_cap_alone_is_bounded_like_any_budget():
    cent = DOLLAR // 100
    # the frame that no byte of the request covers would alone be dearer
    assert 8_192 * CARD.bands[0].rates.cache_write_5m > cent

    for one in (talk(budget(limit_pico=cent)), talk(task_cap_pico=cent)):
        assert one.run(call(), FakeUpstream([message()])).status == 200


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/v1/complete", {}, 402),
        ("/v1/sessions", {"scope": "key"}, 402),
        ("/v1/complete", {"on_unpriced": "allow"}, 200),
        ("/v1/complete", {"scope": "model", "selector": MODEL}, 200),
        ("/v1/files", {}, 200),
        ("/api/telemetry", {}, 200),
    ],
)
def test_what_has_no_price_is_refused_where_a_budget_says_so(
    path: str, given: dict[str, Any], status: int
):
    one = talk(budget(**given))

    assert one.run(call(path=path), FakeUpstream([b"{}"])).status == status
