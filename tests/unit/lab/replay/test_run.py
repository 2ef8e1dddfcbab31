from __future__ import annotations

import json
from datetime import date

import pytest

from farthing.cli.replay import table
from farthing.lab.optimum import add_optimum, optimum
from farthing.lab.replay import (
    Options,
    Sending,
    find_policy,
    read_turns,
    replay,
    replay_turns,
    simulate,
)
from farthing.lab.replay.bills import Bill, Prices
from farthing.pricing import Cost, catalog, parse_usd, price, require_card
from farthing.reports.replay_html import render_replay_page
from farthing.reports.replay_text import render_replay
from tests.unit.lab.replay.recorded import conversation, usage

TALK = conversation((0, usage(0, 9000)), (60, usage(9000, 700)), (900, usage(0, 10_500)))
FOREIGN = conversation((0, usage(0, 0, uncached=9000)), model="gemini-3-pro", ttl=None)
BOTH = [find_policy("no-cache"), find_policy("auto-cache")]


def document(*talks, policies=BOTH, progress=None, **options):
    found = replay(talks, policies, catalog(), options=Options(**options), progress=progress)
    json.dumps(found)
    return found


def test_a_bill_is_what_pricing_says_call_by_call():
    turns = read_turns([TALK])
    bill, expected = Bill(), Cost()
    for replayed in simulate(turns, find_policy("auto-cache")):
        bill.add(replayed, Prices(catalog()))
        expected += price(replayed.usage, require_card(replayed.turn.model, on=date(2026, 2, 2)))

    assert bill.cost == expected


def test_conversations_add_up_to_the_total():
    found = document(TALK, conversation((30, usage(0, 8000)), name="other"))

    for policy in found["policies"]:
        parts = [parse_usd(one["cost_usd"]["total"]) for one in policy["by_conversation"]]
        assert sum(parts) == parse_usd(policy["cost_usd"]["total"])
        assert sum(one["calls"] for one in policy["by_conversation"]) == policy["calls"] == 4


def test_ratios_are_of_input_dollars_over_the_first_policy_unless_the_client_is_among_them():
    assert document(TALK)["baseline"] == "no-cache"
    found = document(TALK, policies=[*BOTH, find_policy("as-recorded")])

    assert found["baseline"] == "as-recorded"
    assert found["policies"][2]["input_cost_ratio"] == 1.0


def test_what_was_billed_then_is_shown_beside_the_replays():
    assert document(TALK)["recorded"]["tokens"]["cache_read"] == 9000
    assert document(TALK, model="claude-opus-5-5")["recorded"] is None


def test_an_unpriced_model_has_tokens_and_no_dollars():
    bill = document(FOREIGN)["policies"][0]

    assert bill["cost_usd"] is None
    assert bill["unpriced_calls"] == 1
    assert bill["tokens"]["uncached"] == 9000


def test_another_model_gives_an_unpriced_recording_a_price():
    bill = document(FOREIGN, model="claude-opus-5-5")["policies"][0]

    assert bill["input_usd"] == "0.036"


def test_prices_of_another_day_can_be_asked_for():
    talk = conversation((0, usage(0, 9000)), model="claude-sonnet-5-5")

    dollars = [document(talk, on=day)["policies"][1]["input_usd"] for day in (None, date.max)]

    assert dollars == ["0.0225", "0.0225"]


def test_progress_is_told_and_never_beyond_its_end():
    heard = []
    long = conversation(*((at, usage(0, 9000 + at)) for at in range(40)))

    document(long, progress=lambda done, total: heard.append((done, total)))

    assert heard == [(16, 80), (32, 80), (56, 80), (72, 80)]


class EveryOther:
    """A policy of somebody else: the hook is all it needs."""

    name = "every-other"

    def plan(self, turn):
        return Sending(automatic="1h" if turn.index % 2 else None)


def test_any_object_with_a_name_and_a_plan_is_a_policy():
    bill = document(TALK, policies=[EveryOther()])["policies"][0]

    assert (bill["policy"], bill["tokens"]["cache_write_1h"]) == ("every-other", 9700)


def test_the_report_names_its_baseline_its_breaks_and_its_version():
    broken = conversation((0, usage(0, 9000)), (60, usage(0, 9700)))
    text = render_replay(document(broken), table)

    assert "1 recorded breaks inside the TTL were injected into every policy" in text
    assert "input dollars over those of no-cache: auto-cache" in text
    assert "Predicted by farthing" in text


def test_the_report_of_an_unpriced_trace_shows_tokens_and_never_a_zero_price():
    text = render_replay(document(FOREIGN), table)

    assert "9.00k" in text
    assert "$" not in text


def test_the_page_is_complete_in_itself():
    page = render_replay_page(document(TALK), "<a trace>")

    assert page.startswith("<!doctype html>")
    assert "&lt;a trace&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "expired" in page


def with_optimum(*talks, policies=BOTH, **options):
    turns = read_turns(talks, model=options.get("model"))
    found = replay_turns(turns, policies, catalog(), options=Options(**options))
    add_optimum(found, optimum(turns, Prices(catalog())))
    json.dumps(found)
    return found


def test_with_the_optimum_every_bill_has_its_ratio_to_it():
    found = with_optimum(TALK, conversation((30, usage(0, 8000)), name="other"))

    no_cache, auto_cache = found["policies"]
    assert no_cache["optimum_ratio"]["with_pings"] > auto_cache["optimum_ratio"]["with_pings"] > 1
    assert no_cache["optimum_ratio"]["floor"] > no_cache["optimum_ratio"]["without_pings"]
    worst = no_cache["worst_conversation"]
    by_id = {one["id"]: one["optimum_ratio"] for one in no_cache["by_conversation"]}
    assert (
        worst["ratio"]
        == by_id[worst["id"]]["with_pings"]
        == max(ratio["with_pings"] for ratio in by_id.values())
    )
    shares = {share["id"]: share for share in found["optimum"]["by_conversation"]}
    own = {one["id"]: one for one in no_cache["by_conversation"]}[worst["id"]]
    assert parse_usd(worst["excess_usd"]) == parse_usd(own["input_usd"]) - parse_usd(
        shares[worst["id"]]["with_pings_usd"]
    )
    assert sum(
        parse_usd(share["with_pings_usd"]) for share in found["optimum"]["by_conversation"]
    ) == parse_usd(found["optimum"]["with_pings_usd"])


def test_the_optimum_is_a_table_and_its_limits_in_text_and_page():
    found = with_optimum(TALK)

    for form in (render_replay(found, table), render_replay_page(found, "a trace")):
        assert "optimum with pings" in form
        assert "nothing can cost less" in form
    assert "optimum" not in render_replay(document(TALK), table)


def test_a_trace_without_prices_has_no_ratio_to_the_optimum():
    found = with_optimum(FOREIGN, TALK)

    assert found["policies"][0]["optimum_ratio"] is None
    assert with_optimum(FOREIGN)["policies"][0]["worst_conversation"] is None
    assert "–" in render_replay(found, table)


def test_the_first_token_comes_sooner_under_a_policy_that_reads():
    found = document(TALK)

    no_cache, auto_cache = (policy["mean_first_token_seconds"] for policy in found["policies"])
    # 9,000, 9,700 and 10,500 tokens at 60 µs, or 4 µs for the 9,000 that one call reads
    assert no_cache == pytest.approx(0.5 + 29_200 * 60e-6 / 3)
    assert auto_cache == pytest.approx(no_cache - 9000 * 56e-6 / 3)
    for form in (render_replay(found, table), render_replay_page(found, "a trace")):
        assert f"{no_cache:.2f}" in form
        assert "first token are modelled" in form
