"""A batch under budgets, from outside: held row by row, refused whole, spent where it was held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from farthing.core.allowances import NOTHING_DECLARED
from farthing.core.batch_scan import BatchReader, BatchScan
from farthing.core.breaker import Breakers
from farthing.core.breaker_values import BreakerKey, BreakerRules
from farthing.core.budgets import Budget, root_first
from farthing.core.budgets_board import BudgetBoard, BudgetNews
from farthing.core.exchange import converse
from farthing.core.exchange_call import Call
from farthing.core.exchange_effects import Interrupted, Release, Reserve
from farthing.core.records import RowFilter, Settlement
from farthing.errors import LedgerError, UpstreamUnreachable
from farthing.ledger.memory import MemoryLedger
from farthing.pricing import catalog
from tests.unit.driver.talks import MODEL, NOW, FakeUpstream, Talk, call, error, message, setup

DOLLAR = 10**12
DAY = "everything@day:2026-11-21T00:00Z"
BATCHES = "/v1/messages/batches"
CREATED = json.dumps({"id": "msgbatch_1", "type": "message_batch"}).encode()
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]
HAIKU = "claude-haiku-5-5"


def row(custom_id: str = "a", **params: Any) -> dict[str, Any]:
    hello = [{"role": "user", "content": "hello"}]
    return {
        "custom_id": custom_id,
        "params": {"model": MODEL, "max_tokens": 50, "messages": hello} | params,
    }


def scan(rows: Sequence[Any]) -> BatchScan:
    reader = BatchReader(catalog(), NOW, NOTHING_DECLARED)
    reader.feed(json.dumps({"requests": list(rows)}).encode())
    return reader.finish()


def creation(*rows: Any, **headers: str) -> Call:
    given: dict[str, Any] = {"x_farthing_task": "t1"} | headers
    return msgspec.structs.replace(call(b"", path=BATCHES, **given), rows=scan(rows))


def budget(name: str = "all", **given: Any) -> Budget:
    values: dict[str, Any] = {"scope": "everything", "limit_pico": DOLLAR, "window": "day"}
    return Budget(name=name, **values | given)


def talk(*budgets: Budget, ledger: Any = None, **changes: Any) -> Talk:
    board = BudgetBoard(budgets=tuple(root_first(budgets)))
    return Talk(setup=setup(board=board, **changes), ledger=ledger or MemoryLedger())


def sums(one: Talk, key: str = DAY) -> tuple[int, int]:
    assert isinstance(one.ledger, MemoryLedger)
    return one.ledger.spent_and_held(key)


def ended(one: Talk, exchange_id: str = "ex_1") -> Settlement:
    ending = one.row(exchange_id).settlement
    assert ending is not None
    return ending


def results(*custom_ids: str, outcome: str = "succeeded") -> FakeUpstream:
    lines = b""
    for custom_id in custom_ids:
        result: dict[str, Any] = {"type": outcome}
        if outcome == "succeeded":
            result["message"] = json.loads(message())
        lines += json.dumps({"custom_id": custom_id, "result": result}).encode() + b"\n"
    return FakeUpstream([lines])


def reading(one: Talk, *custom_ids: str, outcome: str = "succeeded", number: int = 2) -> None:
    asked = call(
        b"", method="GET", path=f"{BATCHES}/msgbatch_1/results", exchange_id=f"ex_{number}"
    )
    one.run(asked, results(*custom_ids, outcome=outcome))


def worst(*rows: Any) -> int:
    return sum(scan(rows).one_pass)


# -- held and spent -------------------------------------------------------------------------------


def test_every_row_is_held_until_its_result_is_booked():
    one = talk(budget(), budget("each", scope="task", window="total"))
    upstream = FakeUpstream([CREATED])

    seen = one.run(creation(row("a"), row("b", max_tokens=500)), upstream)

    assert (seen.status, seen.body) == (200, CREATED)
    both = worst(row("a"), row("b", max_tokens=500))
    assert sums(one) == sums(one, "task:t1") == (0, both)
    assert ended(one).state == "settled"
    assert one.row().opened.high_pico == both

    reading(one, "a")
    cost = ended(one, "msgbatch_1:a").cost
    assert cost is not None
    assert sums(one) == sums(one, "task:t1") == (cost.total, worst(row("b", max_tokens=500)))
    assert one.row("msgbatch_1:a").opened.budget_keys == (DAY, "task:t1")

    reading(one, "a", "b", number=3)
    assert sums(one) == sums(one, "task:t1") == (2 * cost.total, 0)


def test_a_row_that_failed_ends_its_hold_and_costs_nothing():
    one = talk(budget())
    one.run(creation(row("a")), FakeUpstream([CREATED]))
    reading(one, "a", outcome="expired")

    assert sums(one) == (0, 0)


def test_rows_of_different_models_are_held_in_the_budgets_of_their_models():
    opus, haiku = budget("opus", scope="model", selector=MODEL), budget("m", scope="model")
    one = talk(opus, haiku)
    one.run(creation(row("a"), row("b", model=HAIKU)), FakeUpstream([CREATED]))

    day = "@day:2026-11-21T00:00Z"
    assert sums(one, f"model:{MODEL}{day}") == (0, worst(row("a")))
    assert sums(one, f"model:{HAIKU}{day}") == (0, worst(row("b", model=HAIKU)))


def test_rows_in_no_budget_hold_nothing():
    one = talk(budget("opus", scope="model", selector=MODEL))
    one.run(creation(row("a"), row("b", model=HAIKU)), FakeUpstream([CREATED]))
    rows = ended(one).batch

    assert rows is not None
    assert len(rows.digests) == 8
    assert one.row().opened.hold_pico == worst(row("a"))

    other = talk(budget("opus", scope="model", selector="claude-opus-4-5"))
    other.run(creation(row("a")), FakeUpstream([CREATED]))
    assert (other.row().opened.hold_pico, ended(other).batch) == (None, None)


def test_passes_are_held_as_each_budget_declares_them():
    found = scan([row("a", tools=SEARCH)])
    one_pass, most = found.one_pass[0], found.passes[0]
    limit = 10_000 * DOLLAR
    budgets = [
        budget("all", limit_pico=limit, mode="strict"),
        budget("two", limit_pico=limit, scope="key", window="total", passes=2),
        budget("one", limit_pico=limit, scope="key", window="total"),
        budget("tree", limit_pico=limit, scope="tree", window="total"),
    ]
    one = talk(*budgets)
    one.run(creation(row("a", tools=SEARCH), row("b")), FakeUpstream([CREATED]))
    plain = worst(row("b"))
    keys = one.row().opened.budget_keys

    held = {key.partition(":")[0]: sums(one, key)[1] - plain for key in keys}
    assert held == {"everything@day": most, "key": 2 * one_pass, "tree": one_pass}
    reading(one, "a", "b")
    assert {sums(one, key)[1] for key in keys} == {0}


def test_the_tasks_own_cap_holds_the_rows_too():
    one = talk(task_cap_pico=DOLLAR)
    one.run(creation(row("a")), FakeUpstream([CREATED]))
    assert sums(one, "task:t1") == (0, worst(row("a")))

    asked = creation(row("a"), x_farthing_budget_usd="0.0001")
    seen = talk().run(asked, FakeUpstream([CREATED]))
    assert (seen.status, b"the task's own" in seen.body) == (402, True)


# -- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strict", "ample"])
def test_a_batch_that_does_not_fit_is_refused_whole(mode: Any):
    rows = [row(f"r{n}") for n in range(3)]
    one = talk(budget(mode=mode, limit_pico=worst(*rows) - 1))
    heard = list[BudgetNews]()
    one.setup.board.listener = heard.append
    upstream = FakeUpstream([CREATED])

    seen = one.run(creation(*rows), upstream)

    assert (seen.status, upstream.sent) == (402, [])
    assert b"the rows of this batch may cost up to" in seen.body
    assert (sums(one), one.row().opened.budget_keys) == ((0, 0), ())
    assert ended(one).state == "released"
    assert [news.is_refused for news in heard] == [True]
    fitting = talk(budget(mode=mode, limit_pico=worst(*rows)))
    assert fitting.run(creation(*rows), FakeUpstream([CREATED])).status == 200


def test_a_budget_over_single_calls_looks_at_each_row():
    dear = row("b", max_tokens=5_000)
    one = talk(budget("each", scope="call", window="call", limit_pico=worst(row("a"))))

    assert one.run(creation(row("a"), row("c")), FakeUpstream([CREATED])).status == 200
    seen = talk(*one.setup.board.budgets).run(creation(row("a"), dear), FakeUpstream())
    assert (seen.status, b"'each'" in seen.body) == (402, True)


@pytest.mark.parametrize(("policy", "status"), [("refuse", 402), ("allow", 200)])
def test_a_row_without_a_price_is_as_the_budget_says(policy: Any, status: int):
    one = talk(budget(on_unpriced=policy))

    seen = one.run(creation(row("a"), row("b", model="nobody")), FakeUpstream([CREATED]))

    assert seen.status == status
    assert sums(one) == (0, worst(row("a")) if status == 200 else 0)
    assert ("budget.unpriced" in ended(one).notes) == True  # noqa: E712


@pytest.mark.parametrize(("policy", "status"), [("refuse", 402), ("allow", 200)])
def test_a_ledger_that_cannot_be_asked_is_as_the_budget_says(policy: Any, status: int):
    class Deaf(MemoryLedger):
        def reserve(self, *_: Any, **__: Any) -> Any:
            raise LedgerError("no")

    one = talk(budget(on_fault=policy), ledger=Deaf())

    assert one.run(creation(row("a")), FakeUpstream([CREATED])).status == status
    assert one.row().opened.budget_keys == ()


def test_thresholds_are_noted_and_no_budget_asks_nothing():
    one = talk(budget(limit_pico=10 * worst(row("a")), thresholds=(1,)))
    one.run(creation(row("a")), FakeUpstream([CREATED]))
    reading(one, "a")
    asked = msgspec.structs.replace(creation(row("b")), exchange_id="ex_9")
    one.run(asked, FakeUpstream([CREATED.replace(b"_1", b"_2")]))
    assert "budget.threshold.1" in ended(one, "ex_9").notes

    free = talk(budget(scope="key", selector="somebody"))
    free.run(creation(row("a")), FakeUpstream([CREATED]))
    assert free.row().opened.budget_keys == ()


# -- what can go wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"what?", b'{"id": "", "type": "message_batch"}', b"[" * 9999])
def test_an_answer_that_names_no_batch_counts_with_all_its_rows(answer: bytes):
    one = talk(budget())
    one.run(creation(row("a")), FakeUpstream([answer]))

    ending = ended(one)
    assert (ending.state, ending.low_pico, ending.high_pico) == ("unsettled", 0, worst(row("a")))
    assert sums(one) == (worst(row("a")), 0)
    assert "batch.unreadable" in ending.notes


def test_a_creation_whose_answer_is_cut_counts_with_all_its_rows():
    one = talk(budget())
    seen = one.run(creation(row("a")), FakeUpstream([CREATED], cut_after=0))

    assert (seen.status, ended(one).state) == (502, "unsettled")
    assert sums(one) == (worst(row("a")), 0)


def test_a_creation_that_failed_holds_nothing():
    one = talk(budget())
    refused = FakeUpstream([error("invalid_request_error")], status=400)

    assert one.run(creation(row("a")), refused).status == 400
    assert (sums(one), ended(one).state) == ((0, 0), "settled")

    gone = talk(budget())
    gone.run(creation(row("a")), FakeUpstream(fails=UpstreamUnreachable("no")))
    assert (sums(gone), ended(gone).state) == ((0, 0), "released")


def test_a_long_answer_passes_on():
    one = talk(budget(), answer_limit_bytes=4)

    seen = one.run(creation(row("a")), FakeUpstream([CREATED[:9], CREATED[9:]]))

    assert seen.body == CREATED
    assert ended(one).state == "unsettled"


def test_an_interruption_right_behind_the_hold_gives_it_back():
    one = talk(budget())
    conversation = converse(creation(row("a")), one.setup)
    effect = next(conversation)
    while not isinstance(effect, Reserve):
        effect = conversation.send(None)

    assert isinstance(conversation.throw(Interrupted()), Release)


# -- circuits -------------------------------------------------------------------------------------


def numbered(number: int, *rows: Any) -> Call:
    return msgspec.structs.replace(creation(*rows), exchange_id=f"ex_{number}")


def recorded(one: Talk) -> int:
    return len(list(one.ledger.rows(RowFilter())))


def test_a_batch_that_is_refused_again_and_again_is_answered_from_memory():
    one = talk(budget(limit_pico=1), breakers=Breakers(BreakerRules(repeats=3)))
    upstream = FakeUpstream([CREATED])
    for number in range(3):
        assert one.run(numbered(number, row()), upstream).status == 402
    assert recorded(one) == 3
    for number in range(3, 50):
        seen = one.run(numbered(number, row()), upstream)
        assert (seen.status, seen.headers["x-farthing-breaker"]) == (402, "call retry_storm")
    assert (recorded(one), upstream.sent) == (3, [])

    other = one.run(numbered(50, row("b")), upstream)
    assert (other.status, other.headers.get("x-farthing-breaker")) == (402, None)

    one.setup.board.budgets = (budget(),)
    assert one.run(numbered(51, row()), upstream).status == 200
    assert one.run(numbered(52, row()), upstream).status == 200


def test_batches_that_claude_refuses_count_for_their_key():
    breakers = Breakers(BreakerRules(failures=3))
    one = talk(budget(), breakers=breakers)
    for number in range(3):
        bad = FakeUpstream([error("invalid_request_error")], status=400)
        assert one.run(numbered(number, row(str(number))), bad).status == 400
    [key] = breakers.open_keys()
    assert key.kind == "key"
    assert breakers.state(BreakerKey("key", key.name)) == "open"

    seen = one.run(numbered(3, row("new")), FakeUpstream([CREATED]))
    assert seen.headers["x-farthing-breaker"] == "key error_storm"


def test_what_a_compressed_batch_shows_is_not_read_and_its_bytes_tell_it_from_others():
    def read(raw: bytes, *, is_plain: bool) -> BatchScan:
        reader = BatchReader(catalog(), NOW, NOTHING_DECLARED, is_plain=is_plain)
        reader.feed(raw[:7])
        reader.feed(raw[7:])
        return reader.finish()

    raw = json.dumps({"requests": [row()]}).encode()
    packed, plain = read(raw, is_plain=False), read(raw, is_plain=True)

    assert (len(packed), packed.unpriced) == (0, 1)
    assert (len(plain), plain.unpriced) == (1, 0)
    assert packed.body_sha256 == plain.body_sha256 != read(raw + b" ", is_plain=True).body_sha256
