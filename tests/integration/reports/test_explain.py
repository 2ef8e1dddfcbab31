"""``farthing explain``: an exchange through a real gateway, and rows of every kind."""

from __future__ import annotations

import json
from contextlib import closing
from decimal import Decimal

import anthropic
import pytest

from farthing.cli.main import main
from farthing.compose import running_gateway
from farthing.config import Settings
from farthing.core.records import Outcome
from farthing.lab.emulator import emulator
from farthing.ledger import SqliteLedger
from farthing.wire.usage import Usage
from tests.contract.exchanges import (
    NOON,
    USAGE,
    attribution,
    held,
    opened,
    released,
    settled,
    unsettled,
)
from tests.integration.reports.scenario import START, lose


def explain(capsys, path, exchange, *words):
    assert main(["explain", exchange, "--ledger", str(path), *words]) == 0
    return capsys.readouterr().out


def document(capsys, path, exchange):
    return json.loads(explain(capsys, path, exchange, "--json"))


def test_an_exchange_through_the_gateway_is_explained_to_the_last_digit(capsys, tmp_path):
    with (
        emulator() as upstream,
        running_gateway(
            Settings(upstream=upstream.url, port=0, ledger=str(tmp_path / "l.db"))
        ) as gateway,
        anthropic.Anthropic(base_url=gateway.url, api_key="sk-emu-acme") as claude,
    ):
        answer = claude.messages.with_raw_response.create(
            model="claude-opus-4-5",
            max_tokens=50,
            messages=[{"role": "user", "content": "hello, a secret greeting"}],
            extra_headers={"x-farthing-task": "t1", "x-farthing-task-type": "greeting"},
        )
        gateway.ledger.flush()
        exchange_id = answer.headers["x-farthing-exchange-id"]
        found = document(capsys, tmp_path / "l.db", exchange_id)
        printed = explain(capsys, tmp_path / "l.db", exchange_id)

    message = answer.parse()
    bill = found["ending"]["bill"]
    assert found["attribution"]["task_id"] == "t1"
    assert found["ending"]["cost_usd"] == answer.headers["x-farthing-cost-usd"]
    tokens = {line["kind"]: line["tokens"] for line in bill["lines"]}
    assert tokens["uncached"] == message.usage.input_tokens
    assert tokens["output"] == message.usage.output_tokens
    # each line is its tokens at its rate, and the lines are the bill
    lines = [line for line in bill["lines"] if line["tokens"]]
    for line in lines:
        rate = Decimal(line["usd_per_mtok"]) / 10**6
        assert Decimal(line["cost_usd"]) == line["tokens"] * rate
    assert sum(Decimal(line["cost_usd"]) for line in lines) == Decimal(found["ending"]["cost_usd"])
    assert bill["sources"]
    assert "t1 (greeting), by farthing's own headers" in printed
    assert f"rate card {bill['rate_card_id']}" in printed
    assert "secret" not in printed + json.dumps(found)


def test_an_unsettled_exchange_says_between_what_and_why(capsys, team):
    lose(team, "t", low=10**9, high=10**11, at=START)
    lose(team, "u", low=0, high=None, at=START)
    team.ledger.flush()

    interval = document(capsys, team.ledger.path, "lost-t")["ending"]["interval"]

    assert (interval["low_usd"], interval["high_usd"]) == ("0.001", "0.1")
    assert interval["why"] == "the connection ended in the middle of the answer"
    assert "cost       between $0.00100 and $0.100" in explain(capsys, team.ledger.path, "lost-t")
    assert "cost       without a known bound" in explain(capsys, team.ledger.path, "lost-u")


def test_an_interval_without_a_note_is_explained_by_its_state(capsys, team):
    team.ledger.open(opened("x"))
    team.ledger.settle(unsettled("x", low=1, high=2))
    team.ledger.flush()

    why = document(capsys, team.ledger.path, "x")["ending"]["interval"]["why"]
    assert why == "unsettled: it was sent, but its final usage was never seen"


def test_an_exchange_under_way_says_the_most_it_can_cost(capsys, team):
    team.ledger.open(held("x", amount=25 * 10**10))
    team.ledger.flush()

    printed = explain(capsys, team.ledger.path, "x")

    assert "under way" in printed
    assert "task:t1: $0.250 held before it was sent" in printed
    assert "cost       not known yet, at most $0.250" in printed


def test_every_row_of_the_full_example_has_its_line(capsys, team):
    team.ledger.open(opened("x"))
    team.ledger.settle(settled("x", attempts=3, notes=("answer.cut", "later.code")))
    team.ledger.outcome("t1", Outcome(outcome="passed", score=0.5))
    team.ledger.flush()

    printed = explain(capsys, team.ledger.path, "x")

    for part in (
        "below t0, of t0",
        "judged: passed, score 0.5",
        "key_1, session s1, agent a1",
        "HTTP 200, claude-opus-5-5, end_turn, 3 attempts, req_1",
        "web searches",
        "served standard fast us",
        "5 tokens of the output were thinking",
        "saved $0.00000000000900",
        "+cache.auto  asks for the provider's automatic breakpoint",
        "answer.cut  the connection ended",
        "later.code  later.code",
        "3 s, first byte after 900 ms, 0.2 ms of it our own",
    ):
        assert part in printed


def test_an_answer_of_several_passes_has_no_single_rate(capsys, team):
    iterations = (*USAGE.iterations, *USAGE.iterations)
    team.ledger.open(opened("x"))
    team.ledger.settle(settled("x", usage=Usage(output=14, iterations=iterations)))
    team.ledger.flush()

    assert "2 passes in one answer" in explain(capsys, team.ledger.path, "x")
    lines = document(capsys, team.ledger.path, "x")["ending"]["bill"]["lines"]
    assert {line["usd_per_mtok"] for line in lines} == {None}


def test_no_price_is_not_zero(capsys, team):
    team.call("t", "triage", at=START, model="claude-nobody-9")
    team.ledger.flush()

    printed = explain(capsys, team.ledger.path, "x-00001")

    assert "unpriced, which is not zero" in printed
    assert "unpriced.model  the model that answered has no rate card" in printed


def test_nothing_was_sent(capsys, team):
    team.ledger.open(opened("x", attribution=attribution(parent_task_id=None), is_streamed=False))
    team.ledger.settle(released("x"))
    team.ledger.flush()

    printed = explain(capsys, team.ledger.path, "x")

    assert printed.startswith("x  released: nothing was sent")
    assert "answer     none" in printed


@pytest.mark.parametrize(
    ("baseline", "words"),
    [(21, "nothing saved: as the client sent it"), (20, "LOST $0.00000000000100")],
)
def test_a_saving_of_nothing_and_a_loss_are_said(capsys, team, baseline, words):
    team.ledger.open(opened("x"))
    team.ledger.settle(settled("x", baseline_pico=baseline))
    team.ledger.flush()

    assert words in explain(capsys, team.ledger.path, "x")


# -- finding it ------------------------------------------------------------------------------------


@pytest.fixture
def ids(team):
    for exchange_id in ("0198f3a2-aaaa", "0198f3a2-bbbb", "0198f3a2-bbbb-more", "0199"):
        team.ledger.open(opened(exchange_id))
    team.ledger.flush()
    return team.ledger.path


@pytest.mark.parametrize(
    ("asked", "found"),
    [("0198f3a2-a", "0198f3a2-aaaa"), ("0199", "0199"), ("0198f3a2-bbbb", "0198f3a2-bbbb")],
)
def test_the_beginning_of_an_id_is_enough_where_it_is_the_only_one(capsys, ids, asked, found):
    assert document(capsys, ids, asked)["exchange_id"] == found


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("0198", "several exchanges begin with '0198': '0198f3a2-aaaa', '0198f3a2-bbbb', "),
        ("0198f3a2-aaab", "; did you mean '0198f3a2-aaaa' or '0198f3a2-bbbb'"),
        ("zzz", "no exchange 'zzz' in"),
        ("", "an empty id explains nothing"),
        ("%", "no exchange '%' in"),
    ],
)
def test_what_cannot_be_found_is_said_with_what_is_near(capsys, ids, asked, message):
    assert main(["explain", asked, "--ledger", str(ids)]) == 2
    assert message in capsys.readouterr().err


def test_the_instant_is_the_one_on_record(capsys, ids):
    assert document(capsys, ids, "0199")["opened_at"] == NOON.isoformat()


def test_an_exchange_of_another_process_is_found_in_its_ledger(capsys, team):
    with closing(SqliteLedger(team.ledger.path.with_stem(f"{team.ledger.path.stem}.2"))) as other:
        other.open(opened("elsewhere"))
        other.settle(settled("elsewhere"))

    assert document(capsys, team.ledger.path, "elsew")["exchange_id"] == "elsewhere"
