"""Usage and cost reports from what was served: API facts, section 7."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.lab.emulator.talking import NEW, OLD, Client, long_text

ADMIN = "sk-ant-admin01-acme"
USAGE = "/v1/organizations/usage_report/messages"
COST = "/v1/organizations/cost_report"
SINCE = "starting_at=2026-11-16T00:00:00Z"


def rows(client: Client, path: str, query: str = "") -> list[dict[str, Any]]:
    report = client.get(f"{path}?{SINCE}{query}", key=ADMIN)
    return [row for bucket in report["data"] for row in bucket["results"]]


def test_the_usage_report_sums_what_answers_reported() -> None:
    client = Client()
    used = [client.ask(system=[long_text()])["usage"] for _ in range(3)]
    (row,) = rows(client, USAGE)
    assert row["uncached_input_tokens"] == sum(one["input_tokens"] for one in used)
    assert row["cache_read_input_tokens"] == sum(one["cache_read_input_tokens"] for one in used)
    assert row["output_tokens"] == sum(one["output_tokens"] for one in used)
    assert row["cache_creation"]["ephemeral_5m_input_tokens"] > 6000
    assert row["model"] is None


def test_rows_are_grouped_and_filtered() -> None:
    client = Client()
    client.ask()
    client.ask(model=NEW)
    client.as_key("sk-emu-acme.team").ask()
    by_model = rows(client, USAGE, "&group_by[]=model")
    assert {row["model"] for row in by_model} == {"claude-opus-4-5-20251101", NEW}
    by_workspace = rows(client, USAGE, "&group_by[]=workspace_id")
    assert {row["workspace_id"] is None for row in by_workspace} == {True, False}
    assert len(rows(client, USAGE, f"&group_by[]=model&models[]={NEW}")) == 1


def test_another_organization_sees_nothing() -> None:
    client = Client()
    client.ask()
    report = client.get(f"{USAGE}?{SINCE}", key="sk-ant-admin01-other")
    assert all(not bucket["results"] for bucket in report["data"])


def test_buckets_are_as_wide_as_asked_and_paged() -> None:
    client = Client()
    client.ask()
    client.wait(3600)
    client.ask()
    query = f"{USAGE}?starting_at=2026-11-16T12:00:00Z&bucket_width=1h"
    report = client.get(query, key=ADMIN)
    assert [len(bucket["results"]) for bucket in report["data"]] == [1, 1]
    page = client.get(f"{query}&limit=1", key=ADMIN)
    assert page["has_more"] is True
    rest = client.get(f"{query}&page={page['next_page']}", key=ADMIN)
    assert rest["data"][0]["starting_at"] == "2026-11-16T13:00:00Z"


def test_the_documented_example_costs_seven_point_six_cents() -> None:
    """Section 1.6: Opus 5.5, input 2,000; write 8,000; read 40,000; output 1,000."""
    client = Client()
    line = {"content": "x", "output_tokens": 1000, "thinking_tokens": 0}
    client.emulator.load_script(
        [{**line, "sizes": [40_000, 0]}, {**line, "sizes": [40_000, 8_000, 2_000]}]
    )
    client.ask(model=NEW, system=[long_text(5)])
    before = Decimal(rows(client, COST)[0]["amount"])
    more = [{"role": "user", "content": [long_text(5), {"type": "text", "text": "y"}]}]
    usage = client.ask(model=NEW, system=[long_text(5)], messages=more)["usage"]
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (
        40_000,
        8_000,
    )
    assert Decimal(rows(client, COST)[0]["amount"]) - before == Decimal("7.6")


@pytest.mark.parametrize(("prompt", "cents"), [(100_000, "1.05"), (100_001, "5.25005")])
def test_haiku_5_5_has_two_bands(prompt: int, cents: str) -> None:
    """Section 1.1: 100,000 + 1,000 output costs $0.0105, one token more about $0.0525."""
    client = Client()
    client.emulator.load_script([{"content": "x", "output_tokens": 1000, "sizes": [prompt]}])
    client.ask(model="claude-haiku-5-5")
    assert Decimal(rows(client, COST)[0]["amount"]) == Decimal(cents)


def test_batch_geo_and_speed_multiply() -> None:
    client = Client()
    line = {"content": "x", "output_tokens": 1000, "sizes": [0]}
    client.emulator.load_script([line] * 2)
    client.ask(model=NEW)
    base = Decimal(rows(client, COST)[0]["amount"])
    client.ask(model=NEW, speed="fast", inference_geo="us")
    assert Decimal(rows(client, COST)[0]["amount"]) - base == base * Decimal("2.2")


def test_costs_are_described_on_demand() -> None:
    client = Client()
    client.ask({"x-emulator-answer": "search=1"}, tools=[{"type": "web_search_1", "name": "s"}])
    described = rows(client, COST, "&group_by[]=description")
    assert {row["cost_type"] for row in described} == {"tokens", "web_search"}
    (search,) = [row for row in described if row["cost_type"] == "web_search"]
    assert Decimal(search["amount"]) == 1
    assert sum(Decimal(row["amount"]) for row in described) == Decimal(
        rows(client, COST)[0]["amount"]
    )


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        (f"{USAGE}?{SINCE}", "sk-emu-acme", 401),
        (USAGE, ADMIN, 400),
        (f"{USAGE}?starting_at=yesterday", ADMIN, 400),
        (f"{USAGE}?{SINCE}&bucket_width=1w", ADMIN, 400),
        (f"{USAGE}?{SINCE}&group_by[]=colour", ADMIN, 400),
        (f"{USAGE}?{SINCE}&limit=32", ADMIN, 400),
        (f"{COST}?{SINCE}&bucket_width=1h", ADMIN, 400),
        (f"/v1/organizations/other?{SINCE}", ADMIN, 404),
    ],
)
def test_bad_report_requests_are_refused(path: str, key: str, status: int) -> None:
    assert Client().send("GET", path, headers={"x-api-key": key}).status == status


def test_a_refusal_before_output_is_free_except_in_three_categories() -> None:
    client = Client()
    refusal = {"content": "", "stop_reason": "refusal", "output_tokens": 0}
    lines = [
        {**refusal, "stop_details": {"type": "refusal", "category": category}}
        for category in ("cyber", "bio")
    ]
    client.emulator.load_script(lines)
    answers = [client.ask(model=OLD) for _ in range(2)]
    assert [one["stop_reason"] for one in answers] == ["refusal", "refusal"]
    assert answers[1]["stop_details"]["category"] == "bio"
    assert len(client.emulator.books.lines) == 1
